// The composer: files by drop, paste and picker, their order, and real sounds and films through the whole house.
import type { Page } from '@playwright/test';

import { expect, gallery, hydrated, record, test } from './page';

/** Gives files to the form as the browser does after a drop or a paste; their content is what the server gave out. */
async function give(page: Page, how: 'drop' | 'paste', files: { name: string; type: string; url: string }[]) {
  await page.locator('form').first().evaluate(
    async (form, { how, files }) => {
      const transfer = new DataTransfer();
      for (const { name, type, url } of files) {
        const bytes = await (await fetch(url)).arrayBuffer();
        transfer.items.add(new File([bytes], name, { type }));
      }
      const init = { bubbles: true, cancelable: true };
      form.dispatchEvent(
        how === 'drop'
          ? new DragEvent('drop', { ...init, dataTransfer: transfer })
          : new ClipboardEvent('paste', { ...init, clipboardData: transfer }),
      );
    },
    { how, files },
  );
}

/** The address of the first item of a kind in a gallery trace. */
async function media(page: Page, task: string, kind: string): Promise<string> {
  const trace = await record(page.request, (await gallery(page)).get(task)![0]);
  const item = trace.sources.map((source) => source.item as { kind: string; media?: string }).find((own) => own.kind === kind);
  return `/media/${item!.media}`;
}

test('dropped and pasted files are traced in the order they are put in', async ({ page }) => {
  const picture = await media(page, 'visual-qa', 'image');
  const sound = await media(page, 'audio-qa', 'audio');
  await page.goto('/new');
  await hydrated(page);
  await page.getByLabel('Instruction').fill('Describe everything that you read, see and hear.\n');
  await page.getByLabel('Text, item 1').fill('Emma found a boat at the beach.\n');
  await give(page, 'drop', [{ name: 'shape.png', type: 'image/png', url: picture }]);
  await expect(page.getByText('shape.png')).toBeVisible();
  await give(page, 'paste', [{ name: 'events.wav', type: 'audio/wav', url: sound }]);
  await expect(page.getByText('events.wav')).toBeVisible();

  const items = page.locator('li.item');
  await expect(items).toHaveCount(3);
  await expect(items.first().getByLabel('Move up')).toBeDisabled();
  await expect(items.last().getByLabel('Move down')).toBeDisabled();
  await items.last().getByLabel('Move up').click();
  await items.nth(1).getByLabel('Move up').click();
  await expect(items.first()).toContainText('events.wav');

  await page.getByRole('button', { name: /^Trace/ }).click();
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  const trace = await record(page.request, new URL(page.url()).pathname.split('/').pop()!);
  expect(trace.sources.map((source) => source.item.kind)).toEqual(['text', 'audio', 'text', 'image']);
});

test('an uploaded film has its time line, and a removed item is not sent', async ({ page }) => {
  const film = await media(page, 'video-qa', 'video');
  await page.goto('/new');
  await hydrated(page);
  await page.getByLabel('Instruction').fill('Watch the video and answer the question.\n');
  await give(page, 'drop', [
    { name: 'unwanted.mp4', type: 'video/mp4', url: film },
    { name: 'film.mp4', type: 'video/mp4', url: film },
  ]);
  await page.getByLabel(/^Remove unwanted\.mp4/).click();
  await expect(page.getByText('unwanted.mp4')).toHaveCount(0);
  await page.getByRole('button', { name: /^Trace/ }).click();
  await page.waitForURL(/\/t\/[^/]+$/);
  await expect(page.locator('[data-state="finished"]')).toBeAttached({ timeout: 60_000 });
  await expect(page.locator('[data-track="picture"] [data-unit]').first()).toBeAttached();
  const trace = await record(page.request, new URL(page.url()).pathname.split('/').pop()!);
  expect(trace.sources.filter((source) => source.item.kind === 'video')).toHaveLength(1);
});

test('a file that is no picture, sound or film is named, and the others stay', async ({ page }) => {
  const picture = await media(page, 'visual-qa', 'image');
  await page.goto('/new');
  await hydrated(page);
  await give(page, 'drop', [
    { name: 'paper.pdf', type: 'application/pdf', url: picture },
    { name: 'shape.png', type: 'image/png', url: picture },
  ]);
  await expect(page.getByRole('alert')).toContainText('paper.pdf');
  await expect(page.getByText('shape.png')).toBeVisible();
});
