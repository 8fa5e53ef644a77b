// Sharing: short link, QR code, figures, the card, one file that works without a server, an embed, deletion.
import { readFileSync, writeFileSync } from 'node:fs';
import { citing, expect, gallery, hydrated, record, test } from './page';

test('a short link leads to exactly this view and is the same every time', async ({ page }) => {
  const id = (await gallery(page)).get('mixed')![0];
  const { chunk } = citing(await record(page.request, id));
  await page.goto(`/t/${id}?s=${chunk}&signal=attraw`);
  await hydrated(page);
  await page.locator('.share summary').click();
  await expect(page.locator('.public')).toContainText('Everyone who has the link');
  await page.locator('[data-short]').click();
  const field = page.locator('.short textarea');
  await expect(field).toBeVisible();
  const link = new URL(await field.inputValue());
  expect(link.pathname).toMatch(/^\/s\/[a-z0-9]{1,12}$/);
  const again = await page.request.post(`/api/traces/${id}/share`, { data: { view: `?s=${chunk}&signal=attraw` } });
  expect((await again.json()).url).toBe(link.pathname);
  await expect(page.locator('.short img')).toHaveJSProperty('complete', true);
  expect(await page.locator('.short img').evaluate((img) => (img as HTMLImageElement).naturalWidth)).toBeGreaterThan(100);
  await page.goto(link.href);
  await hydrated(page);
  expect(new URL(page.url()).search).toBe(`?s=${chunk}&signal=attraw`);
  await expect(page.locator(`[data-chunk="${chunk}"][data-lit]`)).toBeVisible();
});

test('every trace has a card of 1200 x 630 and a figure', async ({ page }) => {
  for (const [, ids] of await gallery(page)) {
    const card = await page.request.get(`/t/${ids[0]}/card.png`);
    expect(card.status()).toBe(200);
    const png = await card.body();
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1200, 630]);
    const figure = await (await page.request.get(`/t/${ids[0]}/figure.svg`)).text();
    expect(figure).toMatch(/^<svg .*<\/svg>$/s);
  }
  const id = (await gallery(page)).get('visual-qa')![0];
  const html = await (await page.request.get(`/t/${id}`)).text();
  expect(html).toMatch(new RegExp(`property="og:image"[^>]*http://[^"]*/t/${id}/card.png`));
});

test('one HTML file lights up without a server', async ({ page, context }, info) => {
  const id = (await gallery(page)).get('video-qa')![0];
  const trace = await record(page.request, id);
  const { chunk, units } = citing(trace);
  const file = await page.request.get(`/t/${id}/page.html`);
  expect(file.status()).toBe(200);
  const path = info.outputPath('trace.html');
  writeFileSync(path, await file.body());
  expect(readFileSync(path, 'utf8')).not.toContain('="/media/');
  const alone = await context.newPage();
  const noise: string[] = [];
  alone.on('pageerror', (error) => noise.push(error.message));
  alone.on('request', (request) => {
    if (/^https?:/.test(request.url())) noise.push(request.url());
  });
  await alone.goto(`file://${path}`);
  await hydrated(alone);
  await alone.locator(`[data-chunk="${chunk}"]`).hover();
  await expect(alone.locator(`[data-unit="${units[0]}"][data-lit]`).first()).toBeAttached();
  expect(await alone.locator('video').evaluate((video) => (video as HTMLVideoElement).src.slice(0, 10))).toBe('data:video');
  // The magnifier is inside too: the waveform is drawn from tiles in the file, closer and closer.
  const scope = alone.locator('[data-scope]').first();
  await scope.hover();
  await expect(scope).toHaveAttribute('data-drawn', '');
  await scope.locator('[data-do="in"]').click();
  await expect(scope.locator('[data-do="out"]')).not.toHaveAttribute('aria-disabled', 'true');
  expect(noise).toEqual([]);
});

test('an embed has no frame, keeps the theme and may stand in another page', async ({ page }) => {
  const id = (await gallery(page)).get('audio-qa')![0];
  const response = await page.goto(`/t/${id}/embed?theme=dark`);
  expect(response!.headers()['content-security-policy']).toContain('frame-ancestors *');
  await hydrated(page);
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('header.site')).toHaveCount(0);
  await expect(page.locator('[data-chunk]').first()).toBeVisible();
  const own = await page.request.get(`/t/${id}`);
  expect(own.headers()['content-security-policy']).toContain("frame-ancestors 'self'");
});

test('who sent a trace can delete it, nobody else', async ({ page }) => {
  const started = await page.request.post('/api/examples/dialogue?seed=4711');
  const { id, url, delete: link } = await started.json();
  await expect(async () => expect((await page.request.get(`/api/traces/${id}`)).status()).toBe(200)).toPass();
  expect((await page.request.post(`/api/traces/${id}/delete?key=wrong`)).status()).toBe(403);
  await page.goto(link);
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.waitForURL((at) => at.pathname === '/');
  expect((await page.request.get(url)).status()).toBe(404);
  expect((await page.request.get(`/api/traces/${id}`)).status()).toBe(404);
});
