"""Files of images, masks and volumes, and how they get here."""
