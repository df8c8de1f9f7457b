import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/unit/**/*.test.ts'],
    setupFiles: ['test/unit/patience.ts'],
    expect: { poll: { timeout: 10_000 } },
    testTimeout: 20_000,
  },
});

export default config;
