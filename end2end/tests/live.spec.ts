// Live generation: upload, watch, stop, come back; and what happens to bad input.
import { expect, hydrated, record, test } from './page';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

test('surprise me generates a fresh trace live', async ({ page }) => {
  await page.goto('/');
  await hydrated(page);
  await page.locator('[data-task="dialogue"] [data-surprise]').click();
  await page.waitForURL(/\/t\/[^/]+$/);
  await hydrated(page);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  const id = new URL(page.url()).pathname.split('/').pop()!;
  const trace = await record(page.request, id);
  await expect(page.locator('[data-chunk]')).toHaveCount(trace.chunks.length);
  const shown = (await page.locator('[data-chunk] [data-text]').allTextContents()).join(' ').replace(/\s+/g, ' ').trim();
  expect(shown).toBe(trace.response.replace(/\s+/g, ' ').trim());
});

test('a typed question with a picture is answered, and a reload opens the same trace', async ({ page }) => {
  await page.goto('/new');
  await hydrated(page);
  await page.getByLabel('Instruction').fill('Summarize the conversation.\n');
  await page.locator('input[type=file]').first().setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: PIXEL });
  await expect(page.getByText('dot.png')).toBeVisible();
  await page.getByRole('button', { name: /^Trace/ }).click();
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  const before = await page.locator('[data-chunk]').count();
  await page.reload();
  await hydrated(page);
  await expect(page.locator('[data-chunk]')).toHaveCount(before);
});

test.describe('bad input', () => {
  test.use({ refused: 415 });

  test('a broken file is refused with a sentence and nothing typed is lost', async ({ page }) => {
    await page.goto('/new');
    await hydrated(page);
    await page.getByLabel('Instruction').fill('What is this?');
    await page.locator('input[type=file]').first().setInputFiles({ name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no picture at all') });
    await page.getByRole('button', { name: /^Trace/ }).click();
    await expect(page.getByRole('alert')).toContainText(/\w+ \w+/);
    await expect(page.getByLabel('Instruction')).toHaveValue('What is this?');
  });
});

test('two viewers of one trace see the same answer', async ({ page, context }) => {
  const started = await page.request.post('/api/examples/speech?seed=77');
  expect(started.status()).toBe(202);
  const { url } = await started.json();
  const second = await context.newPage();
  await Promise.all([page.goto(url), second.goto(url)]);
  for (const viewer of [page, second]) await expect(viewer.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  expect(await page.locator('[data-chunk]').allTextContents()).toEqual(await second.locator('[data-chunk]').allTextContents());
});
