"""The methods of the paper's Table 2, each on the same backbone, photos and budget (section 4.3)."""
