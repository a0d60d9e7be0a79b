"use strict";
// The list: one box chooses all entries of the page.
{
  const all = document.getElementById("habeat-all");
  const boxes = Array.from(document.querySelectorAll("#result_list .habeat-choice"));
  const count = document.getElementById("habeat-count");
  const show = () => {
    const chosen = boxes.filter((box) => box.checked).length;
    if (count) count.textContent = `${chosen} of ${boxes.length} chosen`;
    if (all) {
      all.checked = boxes.length > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
  };
  if (all) {
    all.addEventListener("change", () => {
      boxes.forEach((box) => { box.checked = all.checked; });
      show();
    });
  }
  boxes.forEach((box) => box.addEventListener("change", show));
  show();
}
