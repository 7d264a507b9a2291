"""What a control plane has, as a catalog file; held to reading as what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.catalog_warnings import print_warning_texts
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company
from sidecar.domain.difference.changes import Change, catalog_changes, company_change
from sidecar.shared.catalog_file.export import catalog_tree, kinds_of
from sidecar.shared.catalog_file.export_companies import company_tree, without_version_moves
from sidecar.shared.catalog_file.load import CatalogFile, CatalogFileError, read_catalog_sources
from sidecar.shared.catalog_file.yaml_text import Tree, yaml_text
from sidecar.shared.convert.catalog import catalog_from_message
from sidecar.shared.convert.companies import company_from_message

_PAGE: Final = 1_000
_TOLD_MAX: Final = 10


class Plane(NamedTuple):
    """A control plane that is asked, and how long an answer may take."""

    stub: control_pb2_grpc.ControlServiceStub
    timeout_s: float

    def catalog(self) -> Catalog:
        """The catalog in force; an empty one before the first."""
        answer = self.stub.GetCatalog(control_pb2.GetCatalogRequest(), timeout=self.timeout_s)
        return catalog_from_message(answer.catalog.catalog, "catalog")

    def companies(self) -> Iterator[Company]:
        """All companies, in the order of their ids."""
        request = control_pb2.ListCompaniesRequest(page_size=_PAGE)
        while True:
            answer = self.stub.ListCompanies(request, timeout=self.timeout_s)
            for company in answer.companies:
                yield company_from_message(company, "companies")
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def company(self, company: str) -> Company:
        """One company."""
        request = control_pb2.GetCompanyRequest(company=company, accepts_spans=True)
        answer = self.stub.GetCompany(request, timeout=self.timeout_s)
        return company_from_message(answer.company, "company")


def export(
    catalog: Catalog, companies: Sequence[Company], *, with_catalog: bool, as_json: bool
) -> None:
    """Print a catalog file; what it cannot say is told on stderr, or beside it in JSON."""
    kinds = kinds_of(catalog)
    tree: dict[str, Tree] = catalog_tree(catalog) if with_catalog else {}
    if companies:
        tree["companies"] = {each.id: company_tree(each, kinds) for each in companies}
    text = yaml_text(tree)
    unsaid = list(_problems(catalog, companies, text)) if tree else []
    if as_json:
        output.print_json({"file": text, "unsaid": unsaid})
    else:
        click.echo(text, nl=False)
        print_warning_texts(unsaid)


def _problems(catalog: Catalog, companies: Sequence[Company], text: str) -> Iterator[str]:
    try:
        read = read_catalog_sources([("export", text.encode())], lambda: catalog)
    except CatalogFileError as error:
        yield from error.lines()[:_TOLD_MAX]
    else:
        yield from _unsaid(catalog, {each.id: each for each in companies}, read)


def _unsaid(catalog: Catalog, companies: Mapping[str, Company], read: CatalogFile) -> Iterator[str]:
    """What of catalog and companies is in no file."""
    changes: list[Change] = catalog_changes(catalog, read.catalog) if read.has_catalog else []
    moved = {id_: without_version_moves(company) for id_, company in companies.items()}
    for company in read.companies:
        change = company_change(moved[company.id], company)
        if change is not None and _paths(change):
            changes.append(change)
    for change in changes[:_TOLD_MAX]:
        paths = _paths(change)
        fields = ", ".join(paths[:_TOLD_MAX])
        if len(paths) > _TOLD_MAX:
            fields += f" and {len(paths) - _TOLD_MAX} more"
        yield f"{change.kind} {change.key}: a file does not say {fields or 'all of it'}"
    if len(changes) > _TOLD_MAX:
        yield f"and {len(changes) - _TOLD_MAX} more"


def _paths(change: Change) -> list[str]:
    """The fields of a change but versions of plans, which a file leaves as they are."""
    paths = [field.path for field in change.fields]
    return [path for path in paths if not path.endswith("plan_version")]
