// What every browser test shares: a page that fails on console noise and foreign requests, and the gallery's traces.
import { test as base, expect, type APIRequestContext, type Page } from '@playwright/test';

export const test = base.extend<{ refused: number }>({
  /** The status of the one request that a test means to have refused: the browser itself notes it in the console. */
  refused: [0, { option: true }],
  page: async ({ page, baseURL, refused }, use) => {
    const noise: string[] = [];
    page.on('console', (message) => {
      if (refused && message.text().includes(`status of ${refused}`)) return;
      if (['error', 'warning'].includes(message.type())) noise.push(`${message.type()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => noise.push(`page error: ${error.message}`));
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(baseURL!) && !url.startsWith('data:') && !url.startsWith('blob:')) noise.push(`foreign request: ${url}`);
    });
    await use(page);
    expect(noise, 'console and network stay clean').toEqual([]);
  },
});
export { expect };

export const TASKS = ['visual-qa', 'dialogue', 'audio-qa', 'speech', 'video-qa', 'mixed'];

/** A record as `GET /api/traces/{id}` gives it: the fields that the tests read. */
export interface Trace {
  id: string;
  response: string;
  sources: { role: string; item: { kind: string } }[];
  units: { id: string; source: number; extent: { kind: string; track?: string } }[];
  chunks: { start: number; end: number }[];
  attributions: { cited: { unit: number }[] }[];
}

/** Ids of the gallery's finished traces by task; waits for the first start to generate them. */
export async function gallery(page: Page): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  await expect(async () => {
    await page.goto('/');
    found.clear();
    for (const task of TASKS) {
      const links = page.locator(`[data-task="${task}"] a[href^="/t/"]`);
      const hrefs = await links.evaluateAll((all) => all.map((a) => a.getAttribute('href')!));
      found.set(task, [...new Set(hrefs.map((href) => href.split('/').pop()!.split('?')[0]))]);
    }
    for (const task of TASKS) {
      expect(found.get(task)!.length, task).toBeGreaterThanOrEqual(2);
      for (const id of found.get(task)!) expect((await page.request.get(`/api/traces/${id}`)).status(), `${task} ${id}`).toBe(200);
    }
  }).toPass({ timeout: 110_000, intervals: [1000] });
  return found;
}

export async function record(request: APIRequestContext, id: string): Promise<Trace> {
  const response = await request.get(`/api/traces/${id}`);
  expect(response.status()).toBe(200);
  return response.json();
}

export async function hydrated(page: Page) {
  await expect(page.locator('html[data-hydrated]')).toBeAttached();
}

/** The first chunk of the trace that cites something, with the ids of the units it cites. */
export function citing(trace: Trace): { chunk: number; units: string[] } {
  const chunk = trace.attributions.findIndex((attribution) => attribution.cited.length > 0);
  expect(chunk, 'some chunk cites a source').toBeGreaterThanOrEqual(0);
  return { chunk, units: trace.attributions[chunk].cited.map((citation) => trace.units[citation.unit].id) };
}
