"""Settings. What differs between machines comes from the environment, or from `.env`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static
from dotenv import load_dotenv

from . import env

BASE_DIR = Path(__file__).resolve().parent.parent
load_dotenv(BASE_DIR / ".env")  # the real environment wins

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.secret_key(DEBUG)
HOST = env.host()
PORT = env.port()
WORKERS = env.workers()
ALLOWED_HOSTS = env.hosts(default=[".localhost", "127.0.0.1", "[::1]", env.bracketed(HOST)])

# Read by chat:
# Origins, beside the site's own, from which a browser may open a socket with a session cookie.
ALLOWED_ORIGINS: list[str] = env.origins()
# Addresses and networks (strings for `ipaddress`) whose X-Forwarded-… headers are believed.
TRUSTED_PROXIES: list[str] = env.proxies()
# A person's token bucket: (events a second, burst); None turns every rate limit off.
RATE_LIMIT: tuple[float, int] | None = env.rate_limit()
# Words that are masked with asterisks in messages.
FILTERED_WORDS: list[str] = env.filtered_words()
# Whether everyone signed in may make rooms.
ROOM_CREATION = True

INSTALLED_APPS = [
    "chat",
    "channels",
    "servestatic",
    "csp",
    "axes",
    "heroicons",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "chat.apps.StaffAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: turns a locked-out login into its answer
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.database(default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that reads first and then writes would fail at once under load.
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URLS = env.redis_urls()
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": REDIS_URLS},
    }
    if REDIS_URLS
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# People

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: a locked-out login is refused unseen
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

# Ten wrong passwords for one name from one address, and that pair has to wait. Name and address
# together: nobody can lock out someone else.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_CLIENT_IP_CALLABLE = "chat.origin.client_address"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # it has a list of its own there

# Browsers

# Scripts, styles, pictures and sockets of this site alone; nothing inline, nothing framed.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # pages carry the token in their forms

# An https origin says that browsers come through TLS: cookies then travel no other way.
# (HSTS is sent with https answers alone, so it needs no such condition.)
CSRF_TRUSTED_ORIGINS = ALLOWED_ORIGINS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = any(origin.startswith("https:") for origin in ALLOWED_ORIGINS)
SECURE_HSTS_SECONDS = 0 if DEBUG else 30 * 24 * 3600
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The admin

UNFOLD = {
    "SITE_TITLE": "Chatsite",
    "SITE_HEADER": "Chatsite",
    "SITE_SUBHEADER": "Staff",
    "SITE_ICON": lambda request: static("chat/img/icon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("chat/img/icon.svg")}
    ],
    "STYLES": [lambda request: static("chat/css/admin.css")],
    "DASHBOARD_CALLBACK": "chat.admin.dashboard.fill",
    "SIDEBAR": {"show_search": True, "navigation": "chat.admin.navigation.links"},
    "COLORS": {
        "primary": {
            "50": "#f0faf8",
            "100": "#dcf3f0",
            "200": "#b3e6df",
            "300": "#83d8cd",
            "400": "#4fd1c0",
            "500": "#17a394",
            "600": "#0f766e",
            "700": "#0b5e58",
            "800": "#0d4a46",
            "900": "#0e3b39",
            "950": "#06231f",
        }
    },
}

# Words and files

LANGUAGE_CODE = "en"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "chatsite.static.HashedStaticFiles"
    },
}
SERVESTATIC_ALLOW_ALL_ORIGINS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "chatsite.logs.OneLine",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "readable_traces": DEBUG,
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "daphne.server": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
