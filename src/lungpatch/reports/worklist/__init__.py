"""The worklist: a page to look at many results with, and a table of them.

The page is one file with its style and scripts. It loads ``worklist/data.js``, which
`worklist_data` makes of the records, and the files of the image that is looked at, which
`write_views` makes while images are processed.
"""

from lungpatch.reports.worklist.data import Maker, worklist_data
from lungpatch.reports.worklist.page import check_page, write_worklist
from lungpatch.reports.worklist.table import write_table
from lungpatch.reports.worklist.views import write_views

__all__ = ["Maker", "check_page", "worklist_data", "write_table", "write_views", "write_worklist"]
