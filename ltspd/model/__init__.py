"""Every noun of the product, frozen, by subject. No behaviour beyond what follows from the fields alone. Pure."""
