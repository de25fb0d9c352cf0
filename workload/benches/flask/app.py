"""The task service as it was in Flask: what the benchmark `flask` compares with."""

import os
import time

from flask import Flask, Response, g, jsonify, request
from prometheus_client import Counter, Histogram, generate_latest
from psycopg_pool import ConnectionPool

app = Flask(__name__)
requests = Counter("request_count", "Requests", ["method", "endpoint"])
errors = Counter("error_count", "Errors", ["method", "endpoint"])
seconds = Histogram("request_processing_seconds", "Time", ["method", "endpoint"])
pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=4, kwargs={"autocommit": True})


@app.before_request
def begin():
    g.started = time.perf_counter()


@app.after_request
def end(response):
    labels = (request.method, request.path)
    requests.labels(*labels).inc()
    seconds.labels(*labels).observe(time.perf_counter() - g.started)
    if response.status_code >= 400:
        errors.labels(*labels).inc()
    return response


@app.get("/tasks")
def read():
    with pool.connection() as connection:
        rows = connection.execute("SELECT id, task FROM tasks ORDER BY id LIMIT 1000").fetchall()
    return jsonify([{"id": id, "task": task} for id, task in rows])


@app.post("/tasks")
def add():
    task = (request.get_json() or {}).get("task")
    if not task:
        return jsonify(error="No task provided"), 400
    with pool.connection() as connection:
        connection.execute("INSERT INTO tasks (task) VALUES (%s)", (task,))
    return jsonify(message="Task added"), 201


@app.put("/tasks/<int:id>")
def update(id):
    task = (request.get_json() or {}).get("task")
    if not task:
        return jsonify(error="No task provided"), 400
    with pool.connection() as connection:
        done = connection.execute("UPDATE tasks SET task = %s WHERE id = %s", (task, id))
    if done.rowcount == 0:
        return jsonify(error="Task not found"), 404
    return jsonify(message="Task updated")


@app.get("/metrics")
def metrics():
    return Response(generate_latest(), mimetype="text/plain")
