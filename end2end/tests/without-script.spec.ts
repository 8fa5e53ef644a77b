// Without JavaScript: the question, the answer and each sentence's sources are in the HTML.
import { expect, gallery, record, TASKS, test } from './page';

test('every example reads without JavaScript', async ({ page }) => {
  const traces = await gallery(page);
  for (const task of TASKS) {
    const id = traces.get(task)![0];
    const trace = await record(page.request, id);
    await page.goto(`/t/${id}`);
    await expect(page.locator('[data-chunk]')).toHaveCount(trace.chunks.length);
    const text = (await page.locator('main').innerText()).replace(/\s+/g, ' ');
    for (const chunk of trace.chunks) {
      const sentence = Buffer.from(trace.response).subarray(chunk.start, chunk.end).toString().replace(/\s+/g, ' ').trim();
      expect(text).toContain(sentence);
    }
    for (const [k, attribution] of trace.attributions.entries()) {
      const badges = page.locator(`[data-chunk="${k}"] [data-badge]`);
      if (attribution.cited.length > 0) await expect(badges.first()).toBeVisible();
    }
    const kinds = new Set(trace.sources.map((s) => s.item.kind));
    if (kinds.has('audio')) await expect(page.locator('audio').first()).toBeAttached();
    if (kinds.has('video')) await expect(page.locator('video').first()).toBeAttached();
    if (kinds.has('image')) await expect(page.locator('img').first()).toBeVisible();
  }
});

test('the bench says what it would do and shows the examples, and truth stands beside a trace', async ({ page }) => {
  const traces = await gallery(page);
  // Playwright parses `noscript` as if there were scripts: what a browser without them shows is read from the source.
  const bench = await (await page.request.get('/world')).text();
  const shown = bench.split('<noscript>')[1].split('</noscript>')[0];
  expect(shown).toContain('Composing needs JavaScript');
  expect(shown).toContain(`href="/t/${traces.get('visual-qa')![0]}"`);
  for (const task of TASKS) {
    await page.goto(`/t/${traces.get(task)![0]}`);
    await expect(page.locator('[data-truth] [data-row]').first(), task).toBeVisible();
  }
});
