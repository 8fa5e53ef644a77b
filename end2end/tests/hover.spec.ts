// The main job: hover a sentence, see its sources; hover a source, see the sentences that cite it.
import { citing, expect, gallery, hydrated, record, TASKS, test } from './page';

for (const task of TASKS) {
  test(`${task}: a chunk lights its sources and a source its chunks`, async ({ page }) => {
    const id = (await gallery(page)).get(task)![0];
    const trace = await record(page.request, id);
    await page.goto(`/t/${id}`);
    await hydrated(page);
    await expect(page.locator('[data-chunk]')).toHaveCount(trace.chunks.length);
    const { chunk, units } = citing(trace);
    await page.locator(`[data-chunk="${chunk}"]`).hover();
    await expect(page.locator(`[data-chunk="${chunk}"][data-lit]`)).toBeVisible();
    for (const unit of units) await expect(page.locator(`[data-unit="${unit}"][data-lit]`).first()).toBeAttached();
    const lit = await page.locator('[data-unit][data-lit]').evaluateAll((all) => all.map((u) => u.getAttribute('data-unit')));
    expect([...new Set(lit)].sort()).toEqual([...units].sort());

    const back = page.locator(`[data-unit="${units[0]}"]`).first();
    await back.scrollIntoViewIfNeeded();
    await back.hover();
    const expected = trace.attributions.flatMap((a, k) => (a.cited.some((c) => trace.units[c.unit].id === units[0]) ? [String(k)] : []));
    await expect(async () => {
      const chunks = await page.locator('[data-chunk][data-lit]').evaluateAll((all) => all.map((c) => c.getAttribute('data-chunk')));
      expect(chunks).toEqual(expected);
    }).toPass();
  });
}

test('click pins, Escape lets go, and the link holds the pin', async ({ page }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  const { chunk } = citing(await record(page.request, id));
  await page.goto(`/t/${id}`);
  await hydrated(page);
  const sentence = page.locator(`[data-chunk="${chunk}"]`);
  await sentence.click();
  await page.mouse.move(2, 2);
  await expect(sentence).toHaveAttribute('data-lit', /.*/);
  const link = page.url();
  expect(new URL(link).searchParams.has('s')).toBe(true);
  await page.keyboard.press('Escape');
  await expect(page.locator('[data-lit]')).toHaveCount(0);
  await page.goto(link);
  await hydrated(page);
  await expect(sentence).toHaveAttribute('data-lit', /.*/);
});

test('the keyboard alone reaches chunks and sources', async ({ page }) => {
  const id = (await gallery(page)).get('audio-qa')![0];
  const { chunk, units } = citing(await record(page.request, id));
  await page.goto(`/t/${id}`);
  await hydrated(page);
  await page.locator(`[data-chunk="${chunk}"]`).focus();
  await expect(page.locator(`[data-unit="${units[0]}"][data-lit]`).first()).toBeAttached();
  await page.keyboard.press('Escape');
  await page.locator(`[data-unit="${units[0]}"]`).first().focus();
  await expect(page.locator(`[data-chunk="${chunk}"][data-lit]`)).toBeAttached();
});

test('the record names what it was made with', async ({ page }) => {
  const id = (await gallery(page)).get('visual-qa')![0];
  const trace = await (await page.request.get(`/api/traces/${id}`)).json();
  expect(trace.version).toBeGreaterThanOrEqual(1);
  expect(trace.receipt.model_hash).not.toBe('');
  expect(trace.signals.map((s: { signal: string }) => s.signal)).toEqual(['attmean', 'attraw', 'attgrads', 'attfocus', 'attrise', 'attvalue']);
});
