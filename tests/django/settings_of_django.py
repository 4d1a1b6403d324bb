"""Settings of the programs and tests that use Django."""

SETTINGS = {
    "DATABASES": {
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        for name in ("default", "other")
    },
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "INSTALLED_APPS": ["articles"],
    "SECRET_KEY": "x",
    "USE_TZ": True,
}
