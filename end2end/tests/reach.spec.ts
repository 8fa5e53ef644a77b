// Without a mouse from the front page to a shared link; still ground while sentences arrive; and the widest screen.
import type { Page } from '@playwright/test';
import { expect, gallery, hydrated, test } from './page';

/** Presses Tab until `selector` matches what has the focus; every stop must be visible and show that it has it. */
async function tabTo(page: Page, selector: string, most = 120) {
  for (let stop = 0; stop < most; stop++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate((wanted) => {
      const element = document.activeElement as HTMLElement | null;
      if (!element || element === document.body) return { found: false, name: 'the page itself', seen: true };
      const { width, height } = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const ring = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || element.matches('video, audio, [data-unit], [data-chunk]');
      return { found: element.matches(wanted), name: element.outerHTML.slice(0, 120), seen: ring && width > 0 && height > 0 };
    }, selector);
    expect(at.seen, `${at.name} can be seen to have the focus`).toBe(true);
    if (at.found) return;
  }
  throw new Error(`${selector} is not reached within ${most} stops`);
}

test('the keyboard alone goes from the front page to a pinned sentence and its link', async ({ page }) => {
  await gallery(page);
  await page.goto('/');
  await hydrated(page);
  await tabTo(page, '[data-task] a[href^="/t/"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/t\/[^/]+$/);
  await hydrated(page);
  await tabTo(page, '[data-chunk]');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/[?&]s=0/);
  await expect(page.locator('[data-chunk="0"][data-lit]')).toBeAttached();
  await tabTo(page, '.share summary');
  await page.keyboard.press('Enter');
  await expect(page.locator('.public')).toBeVisible();
  await tabTo(page, '[data-short]');
  await page.keyboard.press('Enter');
  await expect(page.locator('.short textarea')).toHaveValue(/\/s\/[a-z0-9]+$/);
});

test('the keyboard alone asks a question', async ({ page }) => {
  await page.goto('/new');
  await hydrated(page);
  await tabTo(page, 'textarea');
  await page.keyboard.type('Summarize the conversation.');
  await tabTo(page, 'button[type=submit], button.primary');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
});

test('what is there stays where it is while sentences arrive', async ({ page }) => {
  const started = await page.request.post('/api/examples/video-qa?seed=91');
  expect(started.status()).toBe(202);
  await page.addInitScript(() => {
    const seen = { begun: Infinity, ended: Infinity, shifts: [] as { at: number; value: number; moved: string[] }[] };
    (window as any).seen = seen;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as any[]) {
        const moved = entry.sources.map((source: any) => source.node?.parentElement?.outerHTML?.slice(0, 80) ?? '?');
        seen.shifts.push({ at: entry.startTime, value: entry.value, moved });
      }
    }).observe({ type: 'layout-shift', buffered: true });
    new MutationObserver(() => {
      if (seen.begun === Infinity && document.querySelector('[data-chunk]')) seen.begun = performance.now();
      if (seen.ended === Infinity && document.querySelector('[data-state="finished"]')) seen.ended = performance.now();
    }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-state'] });
  });
  await page.goto((await started.json()).url);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  await page.waitForTimeout(300);
  const seen = await page.evaluate(() => (window as any).seen);
  const between = seen.shifts.filter((shift: { at: number }) => shift.at > seen.begun && shift.at < seen.ended);
  const sum = between.reduce((all: number, shift: { value: number }) => all + shift.value, 0);
  // What browsers call good; a list that pushed its neighbours down with every sentence would pass it many times over.
  expect(sum, JSON.stringify(seen)).toBeLessThan(0.1);
});

test('a page fills a 4K screen without lines that are too long to read', async ({ page }) => {
  const traces = await gallery(page);
  await page.setViewportSize({ width: 3840, height: 2160 });
  for (const route of ['/', '/new', '/about', '/eval', ...[...traces.values()].map((ids) => `/t/${ids[0]}`)]) {
    await page.goto(route);
    await hydrated(page);
    const [wide, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(wide, route).toBeLessThanOrEqual(view);
    const longest = await page.evaluate(() => {
      // What stands in one line is as long as it is.
      const wraps = (text: Element) => {
        const range = document.createRange();
        range.selectNodeContents(text);
        const tops = [...range.getClientRects()].filter((rect) => rect.width > 1).map((rect) => rect.bottom);
        return Math.max(...tops) - Math.min(...tops) > 1.5 * parseFloat(getComputedStyle(text).lineHeight);
      };
      const texts = [...document.querySelectorAll('main p, [data-chunk] [data-text]')].filter(wraps);
      return Math.max(0, ...texts.map((text) => text.getBoundingClientRect().width / parseFloat(getComputedStyle(text).fontSize)));
    });
    // In ems; about 110 characters.
    expect(longest, route).toBeLessThan(56);
  }
});
