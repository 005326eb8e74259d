"""What a page is made of: blocks, mathematics, charts, rendering, files."""
