"""Pictures as SVG text, drawn from plain values: for pages, files and reports alike."""
