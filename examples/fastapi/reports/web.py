"""The web application: each tenant has a client with a guard, so no request leaves its tenant."""

from collections import OrderedDict
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from habeat import AsyncClient, Guard, cron
from habeat.errors import (
    EntryNotFound,
    HabeatError,
    NotAllowed,
    RedisUnavailable,
    ValidationError,
)
from reports.celery import app as celery_app

#: Clients that are kept open; each has a few connections.
CLIENTS_MOST = 100


class Report(BaseModel):
    """What a tenant may choose: when, and in which zone."""

    cron: str
    timezone: str = "UTC"


class Clients:
    """One client for each tenant, the least recently used ones closed."""

    def __init__(self):
        self._clients = OrderedDict()

    async def of(self, tenant):
        client = self._clients.pop(tenant, None) or AsyncClient(celery_app, guard=guard(tenant))
        self._clients[tenant] = client
        while len(self._clients) > CLIENTS_MOST:
            _, oldest = self._clients.popitem(last=False)
            await oldest.close()
        return client

    async def close(self):
        for client in self._clients.values():
            await client.close()


def guard(tenant):
    """What a tenant's entries may be: their names, the task, how many, and how often."""
    return Guard(
        prefix=f"{tenant}:", tasks=["reports.tasks.report"], max_entries=20, min_interval=300
    )


@asynccontextmanager
async def lifespan(app):
    app.state.clients = Clients()
    yield
    await app.state.clients.close()


app = FastAPI(lifespan=lifespan)

STATUS = {EntryNotFound: 404, NotAllowed: 403, ValidationError: 422, RedisUnavailable: 503}


@app.exception_handler(HabeatError)
async def refused(request: Request, error: HabeatError):
    """habeat's errors are sentences for people, without secrets: the client may see them."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"detail": str(error)}, status)


async def client_of(request: Request, tenant: str):
    # In your application: check that the user belongs to this tenant.
    return await request.app.state.clients.of(tenant)


@app.put("/tenants/{tenant}/reports/{name}")
async def put(request: Request, tenant: str, name: str, wanted: Report):
    client = await client_of(request, tenant)
    entry = await client.add(
        f"{tenant}:{name}",
        "reports.tasks.report",
        cron(wanted.cron, tz=wanted.timezone),
        kwargs={"tenant": tenant, "name": name},
        replace=True,
    )
    return shown(tenant, entry)


@app.get("/tenants/{tenant}/reports")
async def reports(request: Request, tenant: str):
    client = await client_of(request, tenant)
    return [shown(tenant, entry) async for entry in client.list()]


@app.post("/tenants/{tenant}/reports/{name}/run", status_code=202)
async def run(request: Request, tenant: str, name: str):
    client = await client_of(request, tenant)
    await client.trigger(f"{tenant}:{name}")


@app.delete("/tenants/{tenant}/reports/{name}", status_code=204)
async def delete(request: Request, tenant: str, name: str):
    client = await client_of(request, tenant)
    await client.remove(f"{tenant}:{name}")


def shown(tenant, entry):
    return {
        "name": entry.name.removeprefix(f"{tenant}:"),
        "when": entry.schedule.describe(),
        "next": entry.state.next_due,
    }
