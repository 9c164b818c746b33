#include "core/json_edit.hpp"

#include <algorithm>
#include <utility>

namespace satchel::core {

void JsonEdits::shrink(std::size_t bytes) {
  edits_.clear();
  if (edits_.capacity() * sizeof(Edit) > bytes) edits_.shrink_to_fit();
}

void JsonEdits::replace(std::size_t begin, std::size_t end, std::string text) {
  edits_.push_back({begin, end, std::move(text)});
}

void JsonEdits::append_member(JsonValue object, std::string text, bool first) {
  std::size_t after = object.begin() + 1;  // behind the brace, or behind the last member
  for (JsonCursor cursor(object); cursor.valid(); cursor.next()) after = cursor.value().end();
  if (!first) text.insert(0, 1, ',');
  replace(after, after, std::move(text));
}

void JsonEdits::apply(std::string_view source, std::string& out) {
  std::stable_sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::size_t size = source.size();
  for (const Edit& edit : edits_) size += edit.text.size();
  out.clear();
  out.reserve(size);
  std::size_t from = 0;
  for (const Edit& edit : edits_) {
    out.append(source, from, edit.begin - from);
    out.append(edit.text);
    from = edit.end;
  }
  out.append(source, from, std::string_view::npos);
}

}  // namespace satchel::core
