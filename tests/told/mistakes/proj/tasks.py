from proj.celery import app


@app.task
def add(x, y):
    return x + y


def mul(x, y):
    return x * y
