"""Parts of the experiment with dynamic textures."""
