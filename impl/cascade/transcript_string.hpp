// The end of a JSON string that nobody wants to know: most bytes of a transcript lie in such.
#pragma once

namespace satchel::cascade {

// `at` stands inside a string, not behind a backslash. Behind its closing quote; nullptr where
// serde_json, ignoring the string, would find a wrong escape or a control character in it. A line
// feed follows at the latest, and 64 bytes behind that can be read.
const char* behind_string(const char* at);

// The same without what only some processors have; for tests.
const char* behind_string_portable(const char* at);

}  // namespace satchel::cascade
