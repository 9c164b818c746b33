// Edits of a JSON text by position: bytes outside the edits stay as the client sent them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_tape.hpp"

namespace satchel::core {

class JsonEdits {
 public:
  void clear() { edits_.clear(); }
  [[nodiscard]] bool empty() const { return edits_.empty(); }
  // Forgets the edits, and gives memory beyond `bytes` back; for pools.
  void shrink(std::size_t bytes);

  // Replaces [begin, end) of the source by `text`; begin == end inserts.
  void replace(std::size_t begin, std::size_t end, std::string text);
  // Adds a member at the end of an object; `text` is `"name":value`. `first`: no member stands
  // before it, because the object has none or because all of them are removed.
  void append_member(JsonValue object, std::string text, bool first);

  // The edited text. Edits may have been given in any order, but must not overlap; those that
  // insert at one place come in the order given.
  void apply(std::string_view source, std::string& out);

 private:
  struct Edit {
    std::size_t begin;
    std::size_t end;
    std::string text;
  };
  std::vector<Edit> edits_;
};

// Walks the children of one array or object and removes those that `drop` names, each with the
// comma that belongs to it. Returns how many went.
//   drop(cursor) -> bool
template <class Drop>
std::size_t json_remove_children(JsonValue container, JsonEdits& edits, Drop drop) {
  std::size_t removed = 0;
  bool kept_before = false;
  std::size_t previous_end = 0;  // of the child before, kept or not
  std::size_t pending_from = 0;  // start of a run of dropped children that nothing kept precedes
  bool pending = false;
  for (JsonCursor cursor(container); cursor.valid(); cursor.next()) {
    const std::size_t begin = container.is_object() ? cursor.key().begin() : cursor.value().begin();
    const std::size_t end = cursor.value().end();
    if (drop(cursor)) {
      ++removed;
      if (kept_before) {
        edits.replace(previous_end, end, {});
      } else if (!pending) {
        pending = true;
        pending_from = begin;
      }
    } else {
      if (pending) edits.replace(pending_from, begin, {});
      pending = false;
      kept_before = true;
    }
    previous_end = end;
  }
  if (pending) edits.replace(pending_from, previous_end, {});
  return removed;
}

}  // namespace satchel::core
