// "Prove it": the pinned sentence scored again without its sources.
import { citing, expect, gallery, hydrated, record, test } from './page';

test('a cited source is missed more than random ones, and the answer without it is a trace of its own', async ({ page }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  const { chunk } = citing(await record(page.request, id));
  await page.goto(`/t/${id}?s=${chunk}`);
  await hydrated(page);
  await page.locator('[data-prove]').click();
  await expect(page.locator('.verdict')).toContainText('Without them this sentence is', { timeout: 60_000 });
  const falls = (await page.locator('.bars output').allTextContents()).map((text) => Number(text.replace('−', '')));
  expect(falls.length).toBe(2);
  expect(falls[0]).toBeGreaterThan(falls[1]);
  await page.keyboard.press('Escape');
  await expect(page.locator('.prove')).toHaveCount(0);
  await page.goto(`/t/${id}?s=${chunk}`);
  await hydrated(page);
  await page.locator('[data-regenerate]').click();
  await page.waitForURL((url) => !url.pathname.endsWith(id));
  await expect(page.locator('[data-parent]')).toHaveAttribute('href', `/t/${id}`);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
});
