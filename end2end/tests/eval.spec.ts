// The evaluation page: figures and charts in the HTML itself, on a phone and in the dark too.
import { expect, test } from './page';

test('figures stand in the page, each table with its head, each chart with its name', async ({ page, request }) => {
  const html = await (await request.get('/eval')).text();
  expect(html).toContain('attmean');
  expect(html).toContain('omnitrace eval world');
  await page.goto('/eval');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Does the trace tell the truth?');
  const rows = page.locator('.ranking li');
  expect(await rows.count()).toBeGreaterThanOrEqual(6);
  const values = (await rows.locator('.value').allTextContents()).map(Number);
  expect(values).toEqual([...values].sort((a, b) => b - a));
  // A model that is asked itself may not know a single source.
  expect(values[0]).toBeGreaterThan(50);
  expect(values.every((value) => value >= 0 && value <= 100)).toBe(true);
  for (const task of ['Conversations with pictures', 'Questions about films']) {
    await expect(page.getByRole('heading', { name: task })).toBeVisible();
  }
  for (const table of await page.locator('table.figures').all()) {
    expect(await table.locator('thead th').count()).toBeGreaterThan(1);
    expect(await table.locator('tbody tr').count()).toBeGreaterThan(0);
  }
  const charts = page.locator('svg.chart');
  expect(await charts.count()).toBeGreaterThanOrEqual(3);
  for (const chart of await charts.all()) await expect(chart).toHaveAttribute('aria-label', /\w+/);
});

test('nothing is wider than a phone, in light and in dark', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 780 });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.goto('/eval');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide).toBeLessThanOrEqual(0);
    const [ink, paper] = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.color, style.backgroundColor];
    });
    expect(ink).not.toBe(paper);
  }
});
