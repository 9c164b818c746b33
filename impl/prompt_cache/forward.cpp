#include "prompt_cache/forward.hpp"

#include <string>

#include "prompt_cache/marker.hpp"
#include "prompt_cache/message_members.hpp"

namespace satchel::prompt_cache {

using core::JsonCursor;
using core::JsonEdits;
using core::JsonValue;

namespace {

class ForwardEdits {
 public:
  ForwardEdits(const TelemetryPolicy& telemetry, JsonEdits& edits)
      : telemetry_(telemetry), edits_(edits) {}

  void edit(JsonValue body) {
    JsonValue tools;
    JsonValue messages;
    JsonValue stream;
    JsonValue stream_options;
    bool marked = false;
    for (JsonCursor cursor(body); cursor.valid(); cursor.next()) {
      const JsonValue key = cursor.key();
      if (key.text_equals("messages")) {
        messages = cursor.value();
      } else if (key.text_equals("tools")) {
        tools = cursor.value();
      } else if (key.text_equals("stream")) {
        stream = cursor.value();
      } else if (key.text_equals("stream_options")) {
        stream_options = cursor.value();
      } else if (key.text_equals(kMarkerName)) {
        marked = true;
      }
    }
    if (marked) remove_marker(body);
    edit_elements(tools);
    if (messages.is_array()) {
      for (JsonCursor cursor(messages); cursor.valid(); cursor.next()) edit_message(cursor.value());
    }
    if (stream.is_true()) include_usage(body, stream_options);
  }

  [[nodiscard]] bool had_markers() const { return had_markers_; }

 private:
  void edit_message(JsonValue message) {
    if (!message.is_object()) return;
    const auto [role, content, tool_calls] = message_members(message);
    if (content.is_array() && telemetry_.strip && telemetry_.applies_to(role)) {
      core::json_remove_children(content, edits_, [&](const JsonCursor& cursor) {
        if (telemetry_.excludes(cursor.value())) return true;
        edit_element(cursor.value());
        return false;
      });
    } else {
      edit_elements(content);
    }
    // Of every role: only an assistant's calls are hashed, but no marker may leak upstream.
    edit_elements(tool_calls);
  }

  void edit_elements(JsonValue array) {
    if (!array.is_array()) return;
    for (JsonCursor cursor(array); cursor.valid(); cursor.next()) edit_element(cursor.value());
  }

  void edit_element(JsonValue element) {
    if (element.member(kMarkerName).exists()) remove_marker(element);
  }

  // All members of that name: were only the last removed, the one before it would come to count.
  void remove_marker(JsonValue object) {
    had_markers_ |= !object.member(kMarkerName).is_null();
    core::json_remove_children(object, edits_, [](const JsonCursor& cursor) {
      return cursor.key().text_equals(kMarkerName);
    });
  }

  void include_usage(JsonValue body, JsonValue options) {
    static constexpr char kIncludeUsage[] = R"("include_usage":true)";
    if (!options.exists()) {
      // `body` has at least the member "stream".
      edits_.append_member(body, std::string(R"("stream_options":{)") + kIncludeUsage + "}", false);
      return;
    }
    if (!options.is_object()) return;
    const JsonValue present = options.member("include_usage");
    if (present.is_true()) return;
    if (present.exists()) {
      edits_.replace(present.begin(), present.end(), "true");
    } else {
      edits_.append_member(options, kIncludeUsage, !JsonCursor(options).valid());
    }
  }

  const TelemetryPolicy& telemetry_;
  JsonEdits& edits_;
  bool had_markers_ = false;
};

}  // namespace

bool edit_forwarded_body(JsonValue body, const TelemetryPolicy& telemetry, JsonEdits& edits) {
  if (!body.is_object()) return false;
  ForwardEdits forward(telemetry, edits);
  forward.edit(body);
  return forward.had_markers();
}

}  // namespace satchel::prompt_cache
