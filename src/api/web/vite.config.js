// The page is built into a few files with plain names: the relay serves them as they are, and knows each by its name.
export default {
  base: '/',
  build: {
    outDir: 'dist',
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    // Whose work is in it, to be shown to whoever asks.
    license: { fileName: 'licences.md' },
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      output: {
        entryFileNames: 'page.js',
        chunkFileNames: ({ name }) => `${name.split('.')[0].toLowerCase()}.js`,
        assetFileNames: 'page[extname]',
      },
    },
  },
  // For work on the page: `npm run dev` shows it as it is being written, with a relay on its usual port behind it.
  server: { proxy: { '^/(api|healthz|readyz)|.*\\.flv$': { target: 'http://127.0.0.1:9997' } } },
};
