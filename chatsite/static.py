"""Static files with a hash in their names, for servers without DEBUG."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStaticFiles(ManifestStaticFilesStorage):
    # Import statements of ES modules get the hashed names too, or a new page would load old modules.
    support_js_module_import_aggregation = True
