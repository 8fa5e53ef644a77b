// Manners: WCAG by axe in light and dark, no sideways scrolling at 320 px, no console noise (the fixture asserts that).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, gallery, hydrated, test } from './page';

const axe = readFileSync(createRequire(__filename).resolve('axe-core/axe.min.js'), 'utf8');

for (const scheme of ['light', 'dark'] as const) {
  test(`axe finds nothing (${scheme})`, async ({ page }) => {
    const traces = await gallery(page);
    const [picture, film] = [traces.get('visual-qa')![0], traces.get('video-qa')![0]];
    const routes = ['/', '/new', '/world', '/about', '/privacy', '/eval', `/t/${picture}/report`, `/t/${picture}`, `/t/${film}?tokens=1`, `/t/${picture}/embed`, `/t/${film}/present`, `/compare/${picture}/${picture}`];
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    for (const route of routes) {
      await page.goto(route);
      await hydrated(page);
      await page.evaluate(axe);
      const violations = await page.evaluate(async () => {
        const result = await (window as any).axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] });
        return result.violations.map((v: any) => `${v.id}: ${v.nodes.slice(0, 3).map((n: any) => n.html).join(' | ')}`);
      });
      expect(violations, route).toEqual([]);
    }
  });
}

test('nothing scrolls sideways at 320 px, with wider letters either', async ({ page }) => {
  const traces = await gallery(page);
  await page.setViewportSize({ width: 320, height: 640 });
  for (const route of ['/', '/new', '/world', '/about', '/privacy', '/eval', ...[...traces.values()].map((ids) => `/t/${ids[0]}`)]) {
    await page.goto(route);
    await hydrated(page);
    const excess = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(await excess(), route).toBeLessThanOrEqual(0);
    // As WCAG 1.4.12 lets a reader space them; fonts differ as much from machine to machine.
    await page.evaluate(() => {
      document.documentElement.style.letterSpacing = '.12em';
      document.documentElement.style.wordSpacing = '.16em';
    });
    expect(await excess(), `${route}, spaced`).toBeLessThanOrEqual(0);
  }
});

test('an unknown page and an unknown trace say so', async ({ page }) => {
  for (const route of ['/no-such-page', '/t/nosuchtrace']) {
    const response = await page.request.get(route);
    expect(response.status(), route).toBe(404);
    expect(await response.text()).toContain('<h1');
  }
});
