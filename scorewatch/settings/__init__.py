"""What the user chose: the configuration file, checked and explained."""
