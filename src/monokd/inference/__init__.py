"""A trained detector on images: prediction, pictures, export."""
