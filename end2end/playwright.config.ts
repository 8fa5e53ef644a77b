// Browser tests against the real binary with the tiny model inside. `cargo xtask test browser` sets the two variables.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig, devices } from '@playwright/test';

const binary = process.env.OMNITRACE_BINARY ?? '../target/checks/omnitrace';
const port = 39417;
// One data folder for the run: the config is read by every worker, so the first reader names it.
const data = (process.env.OMNITRACE_TEST_DATA ??= mkdtempSync(join(tmpdir(), 'omnitrace-e2e-')));

export default defineConfig({
  testDir: 'tests',
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [['list']],
  outputDir: 'test-results',
  use: {
    baseURL: `http://127.0.0.1:${port}`,
    browserName: 'chromium',
    viewport: { width: 1280, height: 800 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
        '--autoplay-policy=no-user-gesture-required',
      ],
    },
  },
  webServer: {
    command: `${binary} serve --listen 127.0.0.1:${port} --data ${data}`,
    url: `http://127.0.0.1:${port}/readyz`,
    reuseExistingServer: false,
    timeout: 60_000,
    gracefulShutdown: { signal: 'SIGTERM', timeout: 10_000 },
  },
  projects: [
    { name: 'script', testIgnore: /without-script/ },
    { name: 'without-script', testMatch: /without-script/, use: { javaScriptEnabled: false } },
    { name: 'phone', testMatch: /phone/, use: { ...devices['Pixel 7'], defaultBrowserType: undefined } },
  ],
});
