"""The workflow of an order, and the clean-up that beat sends every hour."""

import os
import time

from celery import chain, chord
from celery.utils.log import get_task_logger

from orders import store
from orders.celery import app

log = get_task_logger(__name__)

STALE_AFTER_S = 3600


class PaymentDown(Exception):
    """The payment provider does not answer."""


def workflow(order_id, items):
    """Charge first; then reserve all items at once; ship when the last one is reserved."""
    reserving = chord([reserve.si(order_id, name) for name in items], ship.si(order_id))
    return chain(charge.si(order_id), reserving)


@app.task(autoretry_for=(PaymentDown,), retry_backoff=1, retry_backoff_max=60, max_retries=8)
def charge(order_id):
    """Charge the customer. The provider of this example fails for the first attempts."""
    attempt = store.count_attempt(order_id)
    if attempt <= int(os.environ.get("PAYMENT_FAILURES", "1")):
        raise PaymentDown(f"order {order_id}, attempt {attempt}")
    store.set_state(order_id, "paid")


@app.task
def reserve(order_id, name):
    store.reserve(order_id, name)


@app.task
def ship(order_id):
    store.set_state(order_id, "shipped")
    log.info("order %s is shipped", order_id)


@app.task
def clean_up():
    """Delete orders that were never paid; harmless if it runs twice."""
    deleted = store.delete_stale(time.time() - STALE_AFTER_S)
    log.info("deleted %d stale orders", deleted)
