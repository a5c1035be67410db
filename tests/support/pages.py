"""Pages as a browser gets them, without one."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def page_data(html: bytes) -> dict[str, Any]:
    """What the scripts of a page start with."""
    found = re.search(r'<script id="page" type="application/json">(.*?)</script>', html.decode())
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def check_nothing_inline(answer: HttpResponse) -> None:
    """A script or style that gets into the page is not run."""
    html = answer.content.decode()
    assert "unsafe" not in answer["Content-Security-Policy"]
    for script in re.findall(r"<script[^>]*>", html):
        assert "src=" in script or 'type="application/json"' in script, script
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style", html)
