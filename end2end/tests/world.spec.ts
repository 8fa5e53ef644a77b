// Composing a sample of the small world: by mouse and by keyboard, seen and heard at once, traced, held against its truth.
import { expect, hydrated, record, test } from './page';

/** The pixels of the first picture of the bench. */
const pixels = () => {
  return document.querySelector<HTMLCanvasElement>('.pad canvas')!.toDataURL();
};

test('a picture composed with the mouse is traced, and truth stands beside the trace', async ({ page }) => {
  await page.goto('/world');
  await hydrated(page);
  await expect(page.locator('.expected li')).toHaveCount(4);
  const before = await page.evaluate(pixels);
  // Another shape into a free corner: the picture and the right answer follow.
  await page.getByRole('button', { name: 'diamond', exact: true }).click();
  await page.getByRole('button', { name: 'green', exact: true }).click();
  await page.getByRole('button', { name: 'Place a green diamond at the top right' }).click();
  await expect(page.locator('.expected')).toContainText('a green diamond at the top right');
  expect(await page.evaluate(pixels)).not.toBe(before);
  // Dragged to the last free corner.
  const thing = await page.getByRole('button', { name: 'green diamond, top right' }).boundingBox();
  const free = await page.getByRole('button', { name: /at the bottom left$/ }).boundingBox();
  await page.mouse.move(thing!.x + thing!.width / 2, thing!.y + thing!.height / 2);
  await page.mouse.down();
  await page.mouse.move(free!.x + free!.width / 2, free!.y + free!.height / 2, { steps: 6 });
  await page.mouse.up();
  await expect(page.locator('.expected')).toContainText('a green diamond at the bottom left');
  await page.locator('[data-question]').selectOption({ label: 'Where is the diamond?' });
  await expect(page.locator('.expected')).toContainText('So the diamond is at the bottom left.');
  // A true source is outlined where it was drawn.
  await page.locator('.expect').last().hover();
  await page.locator('.expect').filter({ hasText: 'So the diamond is' }).hover();
  await expect(page.locator('.pad i.is-true')).toHaveCount(1);

  await page.locator('[data-trace]').click();
  await page.waitForURL(/\/t\/[^/]+$/);
  const truth = page.locator('[data-truth]');
  await expect(truth).toBeVisible({ timeout: 60_000 });
  const trace = await record(page.request, new URL(page.url()).pathname.split('/').pop()!);
  await expect(truth.locator('[data-row]')).toHaveCount(trace.chunks.length);
  await expect(truth.locator('.truth-pic i.is-true').first()).toBeAttached();
  await expect(truth.locator('[data-right]')).toContainText(/The answer is (right|wrong)/);
  // Back to the bench with the same sample.
  await truth.locator('[data-compose-again]').click();
  await hydrated(page);
  await expect(page.locator('.expected')).toContainText('So the diamond is at the bottom left.');
});

test('a picture is composed with the keyboard alone', async ({ page }) => {
  await page.goto('/world');
  await hydrated(page);
  const star = page.getByRole('button', { name: 'blue star, bottom right' });
  await star.focus();
  await page.keyboard.press('ArrowUp');
  await expect(page.getByRole('button', { name: 'blue star, top right' })).toBeFocused();
  await expect(page.locator('.expected')).toContainText('a blue star at the top right');
  const before = await page.evaluate(pixels);
  await page.keyboard.press('Shift+ArrowLeft');
  await expect.poll(() => page.evaluate(pixels)).not.toBe(before);
  await page.keyboard.press('Delete');
  await expect(page.locator('[data-problem]')).toContainText('two or three things');
  await expect(page.locator('[data-trace]')).toBeDisabled();
  // The palette with the keyboard, then the free corner.
  await page.getByRole('button', { name: 'ring', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'yellow', exact: true }).focus();
  await page.keyboard.press('Space');
  await page.getByRole('button', { name: 'Place a yellow ring at the bottom left' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('.expected')).toContainText('a yellow ring at the bottom left');
  await expect(page.locator('[data-trace]')).toBeEnabled();
  await page.locator('[data-trace]').focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-truth]')).toBeVisible({ timeout: 60_000 });
});

test('sounds are arranged on a track, heard, and traced', async ({ page }) => {
  await page.goto('/world');
  await hydrated(page);
  await page.getByRole('button', { name: 'Sounds', exact: true }).click();
  await expect(page.locator('.block')).toHaveCount(3);
  await page.locator('[data-event="whistle"]').click();
  await expect(page.locator('.block')).toHaveCount(4);
  await expect(page.locator('.expected')).toContainText('The last sound is a whistle.');
  // It can be heard at once: the browser reads the file that was made in it.
  const secs = () => page.locator('audio.heard').evaluate((audio: HTMLAudioElement) => (audio.src.startsWith('blob:') ? audio.duration : 0));
  await expect.poll(secs).toBeGreaterThan(5);
  // By keyboard: later; and gone.
  const whistle = page.getByRole('button', { name: /^whistle, / });
  const where = await whistle.getAttribute('aria-label');
  await whistle.focus();
  await page.keyboard.press('ArrowRight');
  await expect(whistle).not.toHaveAttribute('aria-label', where!);
  await page.getByRole('button', { name: /^barking, / }).focus();
  await page.keyboard.press('Delete');
  await expect(page.locator('.block')).toHaveCount(3);
  await page.locator('[data-trace]').click();
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-truth] .truth-time i.is-true').first()).toBeAttached({ timeout: 60_000 });
});

test('speech, a clip, a conversation and all three at once are rendered in the browser and traced', async ({ page }) => {
  for (const [tab, sentence] of [['Speech', 'The speaker says that Emma'], ['Film', 'First a yellow circle is shown.'], ['Conversation', 'Carla shared a picture of a yellow star.'], ['All three', 'Julia repaired a radio']]) {
    await page.goto('/world');
    await hydrated(page);
    await page.getByRole('button', { name: tab, exact: true }).click();
    await expect(page.locator('.expected')).toContainText(sentence);
    if (tab === 'Film') {
      await page.getByRole('button', { name: 'Move scene 1 later' }).click();
      await expect(page.locator('.expected')).toContainText('First a purple cross is shown.');
      await expect(page.locator('[data-question]')).toHaveValue(/\d/);
    }
    if (tab === 'Conversation') {
      await page.locator('[data-add="fact"]').click();
      await expect(page.locator('[data-turn]')).toHaveCount(5);
      await expect(page.locator('[data-add="chat"]')).toBeDisabled();
      await page.getByLabel('Turn 5: who').selectOption('Julia');
      await expect(page.locator('.expected li').last()).toContainText('Julia bought a lamp at the museum.');
      await page.getByRole('button', { name: 'Move turn 5 earlier' }).click();
      await expect(page.locator('.expected li').last()).toContainText('Frank lost a guitar');
      // A picture of a conversation shows one thing: another corner takes its place.
      await page.getByRole('button', { name: /^Place .* at the bottom left$/ }).click();
      await expect(page.locator('.expected')).not.toContainText('yellow star');
      await page.getByRole('button', { name: 'Remove turn 2' }).click();
      await expect(page.locator('[data-turn]')).toHaveCount(4);
    }
    await page.locator('[data-trace]').click();
    await page.waitForURL(/\/t\/[^/]+$/);
    await expect(page.locator('[data-truth]')).toBeVisible({ timeout: 60_000 });
  }
});

test('a link holds the sample, and a broken one says so', async ({ page }) => {
  await page.goto('/world');
  await hydrated(page);
  await page.getByRole('button', { name: 'red heart, top left' }).focus();
  await page.keyboard.press('ArrowRight');
  await expect(page).toHaveURL(/#\S+/);
  await expect(page.locator('.expected')).toContainText('a red heart at the top right');
  const link = page.url();
  await page.goto('/about');
  await page.goto(link);
  await hydrated(page);
  await expect(page.getByRole('button', { name: 'red heart, top right' })).toBeVisible();
  await page.goto('/about');
  await page.goto('/world#nonsense');
  await hydrated(page);
  await expect(page.getByRole('alert')).toContainText('does not hold a composed sample');
});

test('an answer is given again without a source, and both pages name one another', async ({ page }) => {
  await page.goto('/world');
  await hydrated(page);
  await page.getByRole('button', { name: 'All three' }).click();
  await expect(page.locator('.expected')).toContainText('Julia');
  await page.locator('[data-trace]').click();
  await page.waitForURL(/\/t\/[^/]+$/);
  const parent = new URL(page.url()).pathname;
  await page.getByRole('button', { name: 'without Text 1' }).click({ timeout: 60_000 });
  await page.waitForURL((url) => url.pathname !== parent && url.pathname.startsWith('/t/'));
  const child = new URL(page.url()).pathname;
  await expect(page.locator('[data-parent]')).toHaveAttribute('href', parent);
  await expect(page.locator('#kin-parent')).toContainText('Answered without Text 1');
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  await page.locator('[data-parent]').click();
  await expect(page.locator(`[data-child="${child.split('/').pop()}"]`)).toBeVisible();
});
