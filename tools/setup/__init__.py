"""Steps of script/setup."""
