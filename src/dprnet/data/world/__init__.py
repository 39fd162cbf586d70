"""The made-up world: people in clothes, drawn, with everything that is true of them."""
