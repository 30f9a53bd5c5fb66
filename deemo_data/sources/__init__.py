"""Where footage comes from: tables, downloads, probing, consent."""
