// The stage and the comparison.
import { expect, gallery, hydrated, record, test } from './page';

test('the stage goes by keys, two windows keep in step, and it needs no network once loaded', async ({ page, context }) => {
  const id = (await gallery(page)).get('dialogue')![0];
  const trace = await record(page.request, id);
  await page.goto(`/t/${id}/present`);
  await hydrated(page);
  const audience = await context.newPage();
  await audience.goto(`/t/${id}/present`);
  await hydrated(audience);
  await page.waitForLoadState('networkidle');
  await context.setOffline(true);

  await page.keyboard.press('ArrowRight');
  await expect(page.locator('[data-chunk="0"][data-lit]')).toBeVisible();
  await expect(audience.locator('[data-chunk="0"][data-lit]')).toBeVisible();
  const size = await page.locator('[data-text]').first().evaluate((text) => parseFloat(getComputedStyle(text).fontSize));
  expect(size).toBeGreaterThanOrEqual(24);
  if (trace.chunks.length > 1) {
    await page.keyboard.press('n');
    await expect(audience.locator('[data-chunk="1"][data-lit]')).toBeVisible();
    await page.keyboard.press('p');
  }
  await page.mouse.move(300, 300);
  await expect(page.locator('[data-chunk="0"][data-lit]')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.locator('[data-lit]')).toHaveCount(0);
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
  await page.keyboard.press('?');
  await page.keyboard.press('d');
  await expect(page.locator('html')).toHaveAttribute('data-theme', /dark|light/);

  for (const key of ['+', '+', '+', '+', '+']) await page.keyboard.press(key);
  await page.keyboard.press('r');
  await expect(async () => {
    const text = (await page.locator('.body').innerText()).replace(/\s+/g, ' ');
    expect(text.length).toBeGreaterThan(0);
    expect(await page.locator('[data-chunk]').count()).toBe(trace.chunks.length);
  }).toPass({ timeout: 30_000 });
  await context.setOffline(false);
});

test('two signals of one trace share one focus', async ({ page }) => {
  const id = (await gallery(page)).get('mixed')![0];
  await page.goto(`/compare/${id}/${id}`);
  await hydrated(page);
  await expect(page.locator('.trace')).toHaveCount(2);
  await page.locator('.trace').first().locator('[data-chunk="0"]').hover();
  await expect(page.locator('[data-chunk="0"][data-lit]')).toHaveCount(2);
  const pressed = await page.locator('.method [aria-pressed="true"]').allTextContents();
  expect(new Set(pressed.filter((name) => name.startsWith('att'))).size).toBe(2);
  const ids = await page.locator('[id]').evaluateAll((all) => all.map((own) => own.id));
  expect(new Set(ids).size, 'no DOM id twice').toBe(ids.length);
});
