"""An app with models."""

from django.db import connections, models

HELD = None


class Tag(models.Model):
    name = models.CharField(max_length=20)


class Base(models.Model):
    title = models.CharField(max_length=20)

    class Meta:
        abstract = True


class Article(Base):
    tags = models.ManyToManyField(Tag)


class Proxy(Article):
    class Meta:
        proxy = True


def prepare():
    """Make the tables."""
    for connection in connections.all():
        with connection.schema_editor() as editor:
            for model in (Tag, Article):
                editor.create_model(model)
