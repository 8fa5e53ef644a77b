// The method panel re-curates in the browser, the URL holds it, and tokens show what they drew on.
import { citing, expect, gallery, hydrated, record, test } from './page';

test('a change of method re-curates without the server, the link holds it, reset brings the record back', async ({ page }) => {
  const id = (await gallery(page)).get('mixed')![0];
  const trace = await record(page.request, id);
  await page.goto(`/t/${id}`);
  await hydrated(page);
  const badges = () => page.locator('[data-badge]').allTextContents();
  const before = await badges();
  const requests: string[] = [];
  page.on('request', (request) => !request.url().includes('/favicon') && requests.push(request.url()));

  await page.getByText('Finer').click();
  await page.getByRole('button', { name: 'attraw' }).click();
  await page.locator('[data-parameter="coverage"] input').fill('0.3');
  await page.locator('[data-part="p_min"]').uncheck();
  await expect(page.getByText('re-curated')).toBeVisible();
  const url = new URL(page.url());
  expect(url.searchParams.get('signal')).toBe('attraw');
  expect(url.searchParams.get('coverage')).toBe('0.3');
  expect(url.searchParams.get('off')).toBe('p_min');
  expect(requests, 'no request to the server').toEqual([]);
  const changed = await badges();

  await page.goto(url.href);
  await hydrated(page);
  expect(await badges(), 'the link shows the same').toEqual(changed);
  await page.getByRole('button', { name: 'Reset' }).click();
  expect(await badges()).toEqual(before);
  expect(new URL(page.url()).search).toBe('');
  expect(trace.chunks.length).toBe(await page.locator('[data-chunk]').count());
});

test('pieces of another size partition the same answer', async ({ page }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  const trace = await record(page.request, id);
  await page.goto(`/t/${id}?chunk=answer`);
  await hydrated(page);
  await expect(page.locator('[data-chunk]')).toHaveCount(1);
  const text = (await page.locator('[data-text]').innerText()).replace(/\s+/g, ' ').trim();
  expect(text).toBe(trace.response.replace(/\s+/g, ' ').trim());
});

test('parts of a picture are named by the grid that is chosen', async ({ page }) => {
  const id = (await gallery(page)).get('visual-qa')![0];
  const trace = await record(page.request, id);
  const chunk = trace.attributions.findIndex((a) => a.cited.some((c) => trace.units[c.unit].extent.kind === 'region'));
  expect(chunk).toBeGreaterThanOrEqual(0);
  await page.goto(`/t/${id}?s=${chunk}&regions=2`);
  await hydrated(page);
  const widths = await page.locator('.pic .box').evaluateAll((all) => all.map((box) => (box as HTMLElement).style.width));
  expect(widths.length).toBeGreaterThan(0);
  expect(new Set(widths)).toEqual(new Set(['50%']));
});

test('tokens: pointing at one lights its own units, arrow keys lead on', async ({ page }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  await page.goto(`/t/${id}`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Tokens' }).click();
  expect(new URL(page.url()).searchParams.get('tokens')).toBe('1');
  const token = page.locator('[data-token]').nth(2);
  await token.hover();
  await expect(page.locator('[data-unit][data-lit]').first()).toBeAttached();
  await page.mouse.move(2, 2);
  const first = page.locator('[data-token]').first();
  await first.focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('[data-token]').nth(1)).toBeFocused();
});

test('threads lead from a sentence to its sources and can be switched off', async ({ page }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  const { chunk } = citing(await record(page.request, id));
  await page.goto(`/t/${id}`);
  await hydrated(page);
  await page.locator(`[data-chunk="${chunk}"]`).hover();
  await expect(page.locator('.threads path').first()).toBeAttached();
  await page.mouse.move(2, 2);
  await page.getByRole('button', { name: 'Threads' }).click();
  await page.locator(`[data-chunk="${chunk}"]`).hover();
  await expect(page.locator(`[data-chunk="${chunk}"][data-lit]`)).toBeVisible();
  await expect(page.locator('.threads path')).toHaveCount(0);
});
