// prompt_responses: JSON and SSE bodies, with our counts injected and with the provider's scrubbed.
#include <random>

#include "forms.hpp"

namespace vectors {

namespace {

// How a body is cut on its way in. What comes out must not depend on it.
enum class Cut { kWhole, kBytes, kRandom1, kRandom2, kRandom3 };

constexpr Cut kCuts[] = {Cut::kWhole, Cut::kBytes, Cut::kRandom1, Cut::kRandom2, Cut::kRandom3};

std::string_view cut_name(Cut cut) {
  switch (cut) {
    case Cut::kWhole:
      return "in one chunk";
    case Cut::kBytes:
      return "byte by byte";
    case Cut::kRandom1:
      return "in random chunks, seed 1";
    case Cut::kRandom2:
      return "in random chunks, seed 2";
    case Cut::kRandom3:
      return "in random chunks, seed 3";
  }
  return "";
}

// Lengths from 0 on: an empty chunk is a chunk.
std::size_t next_chunk(Cut cut, std::size_t left, std::minstd_rand& random) {
  switch (cut) {
    case Cut::kWhole:
      return left;
    case Cut::kBytes:
      return 1;
    case Cut::kRandom1:
      return std::min<std::size_t>(left, random() % 8);
    case Cut::kRandom2:
      return std::min<std::size_t>(left, random() % 64);
    case Cut::kRandom3:
      return std::min<std::size_t>(left, random() % 512);
  }
  return left;
}

struct Filtered {
  std::string body;
  satchel::UsageFilter::Saw saw;
};

Filtered filter(std::int32_t kind, const satchel_cache_usage* usage, const std::string& body,
                Cut cut) {
  satchel::UsageFilter filter(kind, usage);
  Filtered out;
  std::minstd_rand random(static_cast<unsigned>(cut) + 1);
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t len = next_chunk(cut, body.size() - at, random);
    // A copy of its own, so that a sanitizer sees a view that outlived its chunk.
    const std::string chunk = body.substr(at, len);
    out.body += filter.write(chunk);
    at += len;
  }
  out.body += filter.end();
  out.saw = filter.saw();
  return out;
}

// A line that carries an object as data: the object in canonical form, and how the line ends.
struct DataLine {
  std::string json;
  bool carriage_return = false;
};

std::optional<DataLine> as_data_object(std::string_view line) {
  DataLine data;
  if (line.ends_with('\r')) {
    data.carriage_return = true;
    line.remove_suffix(1);
  }
  if (!line.starts_with("data:")) return std::nullopt;
  line.remove_prefix(5);
  const auto unless_json = thrown_by([&] { data.json = canonical(line); });
  if (unless_json || !data.json.starts_with('{')) return std::nullopt;
  return data;
}

void compare_sse(Verdict& verdict, const std::string& field, std::string_view expected,
                 std::string_view got) {
  for (std::size_t number = 1; !expected.empty() || !got.empty(); ++number) {
    const auto take_line = [](std::string_view& text) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      return line;
    };
    const bool both_end =
        expected.find('\n') == std::string_view::npos || got.find('\n') == std::string_view::npos;
    const std::string where = field + " line " + std::to_string(number);
    if (both_end) {
      verdict.equal(where + " ends with a newline", expected.find('\n') != std::string_view::npos,
                    got.find('\n') != std::string_view::npos);
    }
    const std::string_view expected_line = take_line(expected);
    const std::string_view got_line = take_line(got);
    const std::optional<DataLine> expected_data = as_data_object(expected_line);
    const std::optional<DataLine> got_data = as_data_object(got_line);
    if (!expected_data || !got_data) {
      verdict.equal(where, expected_line, got_line);
      continue;
    }
    verdict.equal(where + " data, canonical", expected_data->json, got_data->json);
    verdict.equal(where + " ends with CR", expected_data->carriage_return,
                  got_data->carriage_return);
  }
}

void compare_filtered(Verdict& verdict, Json test_case, const std::string& field, std::int32_t kind,
                      const satchel_cache_usage* usage) {
  if (!present(test_case, field)) return;
  const std::string body = required_bytes(test_case, kind == SATCHEL_BODY_SSE ? "sse" : "json");
  const std::optional<std::string> expected = bytes(test_case, field);
  for (const Cut cut : kCuts) {
    verdict.set_context(field + " " + std::string(cut_name(cut)) + ": ");
    const Filtered got = filter(kind, usage, body, cut);
    if (!expected) {
      verdict.equal("left as it was", body, got.body);
    } else if (kind == SATCHEL_BODY_SSE) {
      compare_sse(verdict, "body", *expected, got.body);
    } else {
      verdict.equal("body, canonical", canonical(*expected), canonical(got.body));
    }
    verdict.equal("changed", got.body != body, got.saw.changed);
    if (member(test_case, "saw_usage")) {
      verdict.equal("saw_usage", boolean(test_case, "saw_usage"), got.saw.usage);
    }
    if (member(test_case, "saw_error")) {
      verdict.equal("saw_error", boolean(test_case, "saw_error"), got.saw.error_frame);
    }
  }
}

void compare_case(Verdict& verdict, Json test_case) {
  const std::int32_t kind = present(test_case, "sse") ? SATCHEL_BODY_SSE : SATCHEL_BODY_JSON;
  if (const auto stats = member(test_case, "stats")) {
    satchel_cache_usage usage = SATCHEL_CACHE_USAGE_INIT;
    usage.read = unsigned_integer(*stats, "read");
    usage.creation_5m = unsigned_integer(*stats, "creation_5m");
    usage.creation_1h = unsigned_integer(*stats, "creation_1h");
    usage.creation_24h = unsigned_integer(*stats, "creation_24h");
    compare_filtered(verdict, test_case, "injected", kind, &usage);
  }
  compare_filtered(verdict, test_case, "scrubbed", kind, nullptr);
}

bool recognises(Json root) {
  return is_list_of(root, [](Json first) {
    return (present(first, "json") || present(first, "sse")) &&
           (present(first, "injected") || present(first, "scrubbed"));
  });
}

Tally run(Json root, const satchel::Library& /*library*/, const Options& /*options*/) {
  Tally tally;
  std::size_t number = 0;
  for (const Json test_case : array(root)) {
    compare(tally, "case " + std::to_string(number++),
            [&](Verdict& verdict) { compare_case(verdict, test_case); });
  }
  return tally;
}

}  // namespace

const Form kPromptResponses = {"prompt_responses", recognises, run};

}  // namespace vectors
