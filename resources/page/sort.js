// Runs on a click anywhere in a table (`this`). A click on a heading sorts the rows: upwards, then
// downwards, then back to the first order. Empty cells stay last.
const heading = event.target.closest('th');
if (heading) {
  const next = {none: 'ascending', ascending: 'descending', descending: 'none'};
  const order = next[heading.getAttribute('aria-sort')];
  for (const other of this.tHead.rows[0].cells) other.setAttribute('aria-sort', 'none');
  heading.setAttribute('aria-sort', order);
  const sign = order === 'descending' ? -1 : 1;
  const key = (row) => (order === 'none' ? row : row.cells[heading.cellIndex]).dataset.sort;
  const compare = (x, y) =>
    x === '' || y === '' ? (x === '') - (y === '')
    : sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y, 'en', {numeric: true}) : x - y);
  const rows = [...this.tBodies[0].rows].sort((a, b) => compare(key(a), key(b)));
  this.tBodies[0].append(...rows);
}
