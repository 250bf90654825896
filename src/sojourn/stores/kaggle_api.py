"""What Kaggle is asked, through its own `kagglesdk`. The only file that imports that."""

from __future__ import annotations

import threading
import weakref
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from sojourn.errors import (
    AccessDeniedError,
    MissingPackageError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from sojourn.stores.kaggle_answers import (
    AGAIN,
    Answers,
    Download,
    RemoteDataset,
    RemoteFile,
    Upload,
)
from sojourn.stores.kaggle_session import redirected_to, set_limits
from sojourn.stores.refusals import NO_SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sojourn.stores.base import Presentation
    from sojourn.stores.kaggle_credentials import KaggleCredentials

T = TypeVar("T")

INSTALL = 'pip install "sojourn[kaggle]"'
_PAGE_SIZE = 200  # the largest that Kaggle gives; it takes more for the same
_SHORTEST_TITLE = 6  # characters; see stores.kaggle
_USER_AGENT = "sojourn"


class KaggleApi:
    """Kaggle's calls for one data set. May be used from several threads at once.

    Attributes:
        page: The data set's page.
    """

    def __init__(self, owner: str, slug: str, credentials: KaggleCredentials) -> None:
        self._owner = owner
        self._slug = slug
        self._credentials = credentials
        self._lock = threading.Lock()
        self._client: Any = None
        self._username = credentials.username
        self.page = f"https://www.kaggle.com/datasets/{owner}/{slug}"
        known = credentials.found_in if credentials.are_there else None
        self._answers = Answers(page=self.page, credentials_from=known)

    def dataset(self) -> RemoteDataset | None:
        """Return what Kaggle says about the data set; None if there is none.

        Raises:
            AccessDeniedError: it is private and somebody else's, or there is none; Kaggle does
                not say which.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

        try:
            found = self._call(lambda c: c.get_dataset(self._named(ApiGetDatasetRequest())))
        except ObjectNotFoundError:
            return None
        except AccessDeniedError:
            # Kaggle gives this answer for what is not there, too.
            if self._credentials.are_there and self.username() == self._owner:
                return None
            raise
        current = int(found.current_version_number or 0)
        versions = frozenset(int(one.version_number) for one in found.versions or [])
        return RemoteDataset(
            version=current,
            title=found.title or "",
            is_private=bool(found.is_private),
            size_bytes=found.total_bytes,
            # A list without the current version is no list of all.
            versions=versions if current in versions else None,
        )

    def files(self, version: int) -> Iterator[RemoteFile]:
        """Yield the files of a version."""
        page_token = ""
        while True:
            page = self._page_of_files(version, page_token)
            for file in page.dataset_files or []:
                yield RemoteFile(name=file.name, size_bytes=int(file.total_bytes or 0))
            page_token = page.next_page_token or ""
            if not page_token:
                return

    def _page_of_files(self, version: int, page_token: str) -> Any:
        from kagglesdk.datasets.types.dataset_api_service import ApiListDatasetFilesRequest

        request = self._named(ApiListDatasetFilesRequest())
        request.dataset_version_number = version
        request.page_size = _PAGE_SIZE
        if page_token:
            request.page_token = page_token
        page = self._call(lambda c: c.list_dataset_files(request))
        if page.error_message:
            raise self._answers.refused("list its files", page.error_message)
        return page

    def download(self, name: str | None, *, version: int) -> Download:
        """Return where a file of a version, or the whole version as a zip archive, can be fetched.

        Raises:
            ObjectNotFoundError: there is no such file.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

        request = self._named(ApiDownloadDatasetRequest())
        request.dataset_version_number = version
        if name is not None:
            request.file_name = name
        url = self._call(lambda c: redirected_to(lambda: c.download_dataset(request)))
        last = unquote(urlsplit(url).path).rpartition("/")[2]
        wanted = (name or "").rpartition("/")[2]
        return Download(url=url, is_zipped=name is None or last == f"{wanted}.zip")

    def start_upload(self, name: str, size_bytes: int) -> Upload:
        """Announce a file, and return where it is sent to."""
        from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest

        request = ApiStartBlobUploadRequest()
        request.type = ApiBlobType.DATASET
        request.name = name
        request.content_length = size_bytes
        started = self._call(lambda c: c.start_blob_upload(request), service="blobs")
        return Upload(url=started.create_url, token=started.token)

    def create(
        self, tokens: Mapping[str, str], *, presentation: Presentation, description: str
    ) -> None:
        """Make the data set, of uploaded files by path.

        Raises:
            StoreError: Kaggle refused, and why.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiCreateDatasetRequest

        request = ApiCreateDatasetRequest()
        request.owner_slug = self._owner
        request.slug = self._slug
        request.title = presentation.title or _title_of(self._slug)
        if presentation.license:
            request.license_name = presentation.license
        request.is_private = not presentation.public
        request.description = description
        request.files, request.directories = _tree(tokens)
        answer = self._call(lambda c: c.create_dataset(request))
        self._check_answer("make the data set", answer)

    def create_version(self, tokens: Mapping[str, str], *, notes: str) -> None:
        """Make a new version, of uploaded files by path. The versions before it stay.

        Raises:
            StoreError: Kaggle refused, and why.
        """
        from kagglesdk.datasets.types.dataset_api_service import (
            ApiCreateDatasetVersionRequest,
            ApiCreateDatasetVersionRequestBody,
        )

        body = ApiCreateDatasetVersionRequestBody()
        body.version_notes = notes
        body.delete_old_versions = False
        body.files, body.directories = _tree(tokens)
        request = self._named(ApiCreateDatasetVersionRequest())
        request.body = body
        answer = self._call(lambda c: c.create_dataset_version(request))
        self._check_answer("make a new version", answer)

    def status(self) -> str:
        """Return how far the newest version is: "ready", "failed", or a word for what is done."""
        from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetStatusRequest

        request = self._named(ApiGetDatasetStatusRequest())
        try:
            return str(self._call(lambda c: c.get_dataset_status(request)).status.name).lower()
        except KeyError:
            return "in a state that kagglesdk does not know"

    def username(self) -> str | None:
        """Return who asks; None if Kaggle does not know."""
        from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

        if self._username is None and self._credentials.token is not None:
            request = IntrospectTokenRequest()
            request.token = self._credentials.token
            try:
                known = self._call(lambda c: c.introspect_token(request), service="oauth")
            except (AccessDeniedError, ObjectNotFoundError):
                return None
            self._username = known.username if known.active else None
        return self._username

    def private_bytes(self) -> int:
        """Return how many bytes the private data sets of whoever asks hold, as Kaggle lists."""
        sizes: dict[str, int] = {}
        for page in count(1):
            found = {one.ref: int(one.total_bytes or 0) for one in self._page_of_own(page) or ()}
            # A page that brings nothing new is the end, also where Kaggle gives the last one again.
            if found.keys() <= sizes.keys():
                break
            sizes |= found
        return sum(sizes.values())

    def _page_of_own(self, page: int) -> Any:
        from kagglesdk.datasets.types.dataset_api_service import ApiListDatasetsRequest
        from kagglesdk.datasets.types.dataset_enums import DatasetSelectionGroup

        request = ApiListDatasetsRequest()
        request.group = DatasetSelectionGroup.DATASET_SELECTION_GROUP_MY_PRIVATE
        request.page = page
        return self._call(lambda c: c.list_datasets(request)).datasets

    def invite(self, username: str) -> None:
        """Let a user read the data set; all else on its page stays as it is.

        Raises:
            StoreError: Kaggle refused, and why.
        """
        from kagglesdk.datasets.types.dataset_api_service import (
            ApiGetDatasetMetadataRequest,
            ApiUpdateDatasetMetadataRequest,
        )
        from kagglesdk.datasets.types.dataset_types import DatasetCollaborator, DatasetSettings
        from kagglesdk.users.types.users_enums import CollaboratorType

        asked = self._named(ApiGetDatasetMetadataRequest())
        answer = self._call(lambda c: c.get_dataset_metadata(asked))
        if answer.error_message:
            raise self._answers.refused("read its settings", answer.error_message)
        info = answer.info
        if any(person.username == username for person in info.collaborators or []):
            return
        person = DatasetCollaborator()
        person.username = username
        person.role = CollaboratorType.READER
        settings = DatasetSettings()
        # What is not given is emptied: Kaggle takes all of the settings or none.
        for name in _KEPT_SETTINGS:
            if (value := getattr(info, name)) is not None:
                setattr(settings, name, value)
        settings.collaborators = [*(info.collaborators or []), person]
        request = self._named(ApiUpdateDatasetMetadataRequest())
        request.settings = settings
        refused = self._call(lambda c: c.update_dataset_metadata(request)).errors
        if refused:
            raise self._answers.refused(f"let {username} read", "; ".join(refused))

    def delete(self) -> None:
        """Delete the whole data set. Only for one that this program made for trial.

        Raises:
            StoreError: Kaggle refused, and why.
        """
        from kagglesdk.datasets.types.dataset_api_service import ApiDeleteDatasetRequest

        answer = self._call(lambda c: c.delete_dataset(self._named(ApiDeleteDatasetRequest())))
        if answer.error:
            raise self._answers.refused("delete the data set", answer.error)

    def _named(self, request: Any) -> Any:
        request.owner_slug = self._owner
        request.dataset_slug = self._slug
        return request

    def _call(self, call: Callable[[Any], T], *, service: str = "datasets") -> T:
        import requests

        client = self._opened()
        services = {
            "datasets": client.datasets.dataset_api_client,
            "blobs": client.blobs.blob_api_client,
            "oauth": client.security.oauth_client,
        }
        try:
            return call(services[service])
        except requests.HTTPError as error:
            raise self._answers.refusal(error.response, str(error)) from error
        except requests.JSONDecodeError as error:
            raise StoreUnavailableError(
                "Kaggle answered with something else than JSON.", remedy=AGAIN
            ) from error
        except requests.RequestException as error:
            raise StoreUnavailableError(
                f"Kaggle cannot be reached for {self.page}: {type(error).__name__}.",
                remedy="Check the network, then run it again.",
                is_absent=NO_SERVER.search(str(error)) is not None,
            ) from error

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def _open(self) -> Any:
        try:
            from kagglesdk.kaggle_client import KaggleClient
        except ImportError as error:
            raise MissingPackageError(
                "kaggle:// needs the package kagglesdk, which is not installed.", remedy=INSTALL
            ) from error
        client = KaggleClient(
            username=self._credentials.username,
            password=self._credentials.key,
            api_token=self._credentials.token,
            user_agent=_USER_AGENT,
        )
        client.__enter__()
        set_limits(client.http_client())
        # A store is not closed by anybody; its connections go with it.
        weakref.finalize(self, client.__exit__, None, None, None)
        return client

    def _check_answer(self, doing: str, answer: Any) -> None:
        """Raise what an answer says that came with a status of success."""
        if answer.error or (answer.status or "").lower() == "error":
            raise self._answers.refused(doing, answer.error or "it gave no reason")


_KEPT_SETTINGS = (
    "title",
    "subtitle",
    "description",
    "is_private",
    "keywords",
    "licenses",
    "data",
    "expected_update_frequency",
    "user_specified_sources",
)


def check_installed() -> None:
    """Check that kagglesdk can be imported, without importing it.

    Raises:
        MissingPackageError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("kagglesdk") is None:
        raise MissingPackageError(
            "kaggle:// needs the package kagglesdk, which is not installed.", remedy=INSTALL
        )


def _tree(tokens: Mapping[str, str]) -> tuple[list[Any], list[Any]]:
    """Return files and folders as Kaggle takes them: tokens, and folders in folders."""
    from kagglesdk.datasets.types.dataset_api_service import (
        ApiDatasetNewFile,
        ApiUploadDirectoryInfo,
    )

    files, below = [], dict[str, dict[str, str]]()
    for path, token in sorted(tokens.items()):
        folder, slash, rest = path.partition("/")
        if slash:
            below.setdefault(folder, {})[rest] = token
        else:
            file = ApiDatasetNewFile()
            file.token = token
            files.append(file)
    folders = []
    for name, inner in below.items():
        folder_info = ApiUploadDirectoryInfo()
        folder_info.name = name
        folder_info.files, folder_info.directories = _tree(inner)
        folders.append(folder_info)
    return files, folders


def _title_of(slug: str) -> str:
    """Return a title, which has 6 characters at least, where none was given."""
    return slug if len(slug) >= _SHORTEST_TITLE else f"{slug} data set"
