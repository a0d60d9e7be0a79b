"""The web application: it starts a workflow for each order, and never waits for it."""

from flask import Flask, request

from orders import store
from orders.tasks import workflow

app = Flask(__name__)


@app.post("/orders")
def create():
    items = request.get_json()["items"]
    order_id = store.create(items)
    workflow(order_id, items).delay()
    return {"id": order_id}, 202


@app.get("/orders/<int:order_id>")
def show(order_id):
    return store.show(order_id) or ({"error": "there is no such order"}, 404)
