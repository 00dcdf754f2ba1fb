"""The connection to the Kubeflow Pipelines API.

Reading is repeated a few times when the server is busy or gone for a moment. Writing is not:
who writes looks first whether it is done already.
"""

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kfp_server_api import ApiClient, ApiException  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from sanefit.components.foundation.clock import Sleep
from sanefit.pipeline.kubeflow.client.credentials import Credentials
from sanefit.pipeline.kubeflow.client.errors import KubeflowError, no_answer, not_an_api, refusal

TIMEOUT = (5.0, 60.0)  # seconds to connect, to answer
RETRY_DELAYS = (1.0, 2.0, 4.0)
LONGEST_RETRY_AFTER = 60.0
PAGE_SIZE = 200  # the server's limit


@dataclass(frozen=True, repr=False)
class Kubeflow:
    """A connection. ``namespace`` is empty on a Kubeflow for one user; ``timeout``: seconds to connect, to answer.

    ``ui`` is where a browser finds Kubeflow's pages, ``ui_hint`` what that needs first.
    """

    client: ApiClient
    endpoint: str
    namespace: str
    credentials: Credentials
    ui: str
    ui_hint: str = ""
    timeout: tuple[float, float] = TIMEOUT
    sleep: Sleep = time.sleep

    def link(self, run_id: str) -> str:
        """Where a browser shows a run."""
        return f"{self.ui}/#/runs/details/{run_id}"

    def link_line(self, run_id: str) -> str:
        """The same for a reader, with what it needs first."""
        return self.link(run_id) + self.ui_hint

    def call(self, to: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Ask once; what only reads (``get …``, ``list …``) a few times when the failure may pass.

        Args:
            to: what for, a verb and a resource as in ``create runs``.
            method: of an API class of ``kfp_server_api``.

        Raises:
            KubeflowError: one line.
        """
        reads = to.startswith(("get ", "list "))
        for delay in RETRY_DELAYS:
            try:
                return self._ask(to, method, arguments, options)
            except KubeflowError as error:
                # A write that was answered with 429 was not looked at.
                if not (error.passing and (reads or error.status == 429)):
                    raise
                self.sleep(max(delay, min(error.retry_after, LONGEST_RETRY_AFTER)))
        return self._ask(to, method, arguments, options)

    def pages(
        self, to: str, method: Callable[..., Any], field: str, page_size: int = PAGE_SIZE, **options: Any
    ) -> Iterator[Any]:
        """All items of a list, page by page, as they are wanted."""
        token = ""
        while True:
            page = self.call(to, method, page_token=token, page_size=page_size, **options)
            yield from getattr(page, field) or ()
            following = page.next_page_token
            if not following or following == token:
                return
            token = following

    def in_namespace(self) -> dict[str, Any]:
        """The argument of methods that take a namespace, where there is one."""
        return {"namespace": self.namespace} if self.namespace else {}

    def _ask(self, to: str, method: Callable[..., Any], arguments: Any, options: Mapping[str, Any]) -> Any:
        try:
            answer = method(*arguments, _request_timeout=self.timeout, **options)
        except ApiException as error:
            raise self._named(refusal(error, to, self.credentials.source)) from None
        except HTTPError as error:
            raise self._named(no_answer(error, to)) from None
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            if isinstance(error.__context__, ApiException):  # a proxy's page that is not in UTF-8
                raise self._named(refusal(error.__context__, to, self.credentials.source)) from None
            raise self._named(not_an_api(self._last_body(), to, self.credentials.source)) from None
        if not _is_object(body := self._last_body()):
            raise self._named(not_an_api(body, to, self.credentials.source))
        return answer

    def _last_body(self) -> str:
        data = self.client.last_response.data
        return data.decode(errors="replace") if isinstance(data, bytes) else str(data)

    def _named(self, error: KubeflowError) -> KubeflowError:
        text = f"Kubeflow Pipelines at {self.endpoint}: {error}"
        error.args = (self.credentials.hide(text),)
        return error


def predicates(*conditions: tuple[str, str, str]) -> str:
    """The filter of a list from (field, operation, value); all must hold."""
    given = [{"key": key, "operation": operation, "string_value": value} for key, operation, value in conditions]
    # The server decodes the parameter once more than a URL asks for.
    return urllib.parse.quote(json.dumps({"predicates": given}))


def _is_object(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
