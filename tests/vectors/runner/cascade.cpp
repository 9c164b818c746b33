// cascade: combinations of states, and what one resolve made of each: its answer, how often it
// called each lazy source, and both files afterwards.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "forms.hpp"
#include "scratch_directory.hpp"

namespace vectors {

namespace {

namespace fs = std::filesystem;

// Transcripts are remembered in every so many cases only: it makes files for each.
constexpr std::size_t kRememberEvery = 16;
constexpr std::int64_t kSecond = 1'000'000'000;

struct Calls {
  int transport = 0;
  int credentials = 0;
  int jsonl = 0;
};

class FrozenClock final : public satchel::Clock {
 public:
  explicit FrozenClock(std::int64_t seconds) : ns_(seconds * kSecond) {}
  std::int64_t unix_ns() override { return ns_; }
  std::int64_t monotonic_ns() override { return ns_; }

 private:
  const std::int64_t ns_;
};

class NoLog final : public satchel::Log {
 public:
  void write(int /*level*/, std::string_view /*component*/, std::string_view /*line*/) override {}
};

// Answers as the case says.
class RecordedHttp final : public satchel::Http {
 public:
  RecordedHttp(Json fetch, Calls& calls) : fetch_(fetch), calls_(calls) {}

  satchel::HttpAnswer send(const satchel::HttpRequest& /*request*/) override {
    ++calls_.transport;
    if (present(fetch_, "transport_error")) {
      const bool timeout = required_bytes(fetch_, "transport_error") == "timeout";
      throw satchel::Error(timeout ? SATCHEL_ERR_TIMEOUT : SATCHEL_ERR_IO);
    }
    satchel::HttpAnswer answer;
    answer.status = static_cast<int>(unsigned_integer(fetch_, "status"));
    answer.body = required_bytes(fetch_, "body");
    if (const auto wait = bytes(fetch_, "retry_after")) {
      answer.headers.emplace_back("Retry-After", *wait);
    }
    return answer;
  }

 private:
  const Json fetch_;
  Calls& calls_;
};

// Both count that they were asked, and leave the answer to the built-in.
class CountedCredentials final : public satchel::Credentials {
 public:
  explicit CountedCredentials(Calls& calls) : calls_(calls) {}
  std::string token() override {
    ++calls_.credentials;
    throw satchel::NotHandled();
  }

 private:
  Calls& calls_;
};

class CountedTranscripts final : public satchel::Transcripts {
 public:
  explicit CountedTranscripts(Calls& calls) : calls_(calls) {}
  std::optional<satchel::TranscriptWindows> windows(std::int64_t /*now*/) override {
    ++calls_.jsonl;
    throw satchel::NotHandled();
  }

 private:
  Calls& calls_;
};

// The states of a file of vectors, by what they are of and their name.
class States {
 public:
  explicit States(Json states) : states_(states) {}

  [[nodiscard]] Json of(std::string_view kind, Json name) const {
    return states_.at_key(kind).value().at_key(name.get_string().value()).value();
  }
  [[nodiscard]] std::int64_t now() const { return states_.at_key("now").get_int64().value(); }

 private:
  const Json states_;
};

std::string file_bytes(Json state) {
  if (present(state, "text")) return required_bytes(state, "text");
  std::string out;
  for (const Json byte : array(state, "bytes")) {
    out += static_cast<char>(byte.get_uint64().value());
  }
  return out;
}

void put_file(const fs::path& path, Json state) {
  if (state.is_null()) return;
  write_file(path, file_bytes(state));
  if (present(state, "mtime")) set_mtime(path, state.at_key("mtime").get_int64().value(), 0);
}

void put_transcripts(const fs::path& dir, Json state) {
  if (state.is_null()) return;
  const simdjson::dom::object files = state.get_object().value();
  for (const auto& [name, text] : files) write_file(dir / name, text.get_string().value());
}

// In the form of the vectors: which of the files an answer stands in is our distinction.
std::string comparable(const std::string& json) {
  simdjson::dom::parser parser;
  const simdjson::dom::object usage = parser.parse(json).get_object().value();
  const bool jsonl = usage["source"].get_string().value() == "jsonl";
  std::string out = R"({"source":)" + std::string(jsonl ? R"("jsonl")" : R"("endpoint")");
  for (const auto& [name, value] : usage) {
    const std::string key(name);
    if (key == "source" || key == "error" || key == "as_of" || key == "age_s" ||
        key == "endpoint_as_of" || key == "observed") {
      continue;
    }
    out.append(",\"").append(key).append("\":");
    if (jsonl && key == "five_hour" && value.is_object()) {
      out.append("{\"start\":").append(simdjson::minify(value.at_key("start").value()));
      out.append(",\"tokens\":").append(simdjson::minify(value.at_key("tokens").value()));
      out.append("}");
    } else {
      out.append(simdjson::minify(value));
    }
  }
  return out + "}";
}

std::string resolved(const satchel::Library& library, const fs::path& directory, Calls& calls,
                     bool remember) {
  satchel::CascadeParts parts;
  parts.cache_dir = (directory / "cache").string();
  parts.config_dirs = {(directory / "config").string()};
  parts.credentials = std::make_unique<CountedCredentials>(calls);
  parts.transcripts = std::make_unique<CountedTranscripts>(calls);
  const std::string config =
      std::string(R"({"transcripts":{"dedup":"first","depth":1,"threads":1,"remember":)") +
      (remember ? "true" : "false") + "}}";
  satchel::Cascade cascade(library, std::move(parts), config);
  std::string json;
  if (const auto error = thrown_by([&] { json = comparable(cascade.resolve().json()); })) {
    if (error->status() != SATCHEL_ERR_UNAVAILABLE) throw *error;
    return R"({"error":")" + std::string(satchel::usage_error_name(error->reason())) + R"("})";
  }
  return json;
}

// A file afterwards: "unchanged" is the same bytes.
void compare_file(Verdict& verdict, std::string_view field, const fs::path& path, Json before,
                  Json after) {
  const bool there = fs::exists(path);
  if (after.is_null()) {
    verdict.equal(field, std::string_view("no file"),
                  there ? std::string_view("a file") : "no file");
    return;
  }
  if (after.is_string()) {
    std::string was = file_bytes(before);
    std::string is = there ? read_file(path) : "no file";
    // What was written anew with the same content may be laid out otherwise.
    if (was != is) {
      (void)thrown_by([&] {
        is = canonical(is);
        was = canonical(was);
      });
    }
    verdict.equal(field, was, is);
    return;
  }
  verdict.equal(field, canonical(simdjson::minify(after)),
                there ? canonical(read_file(path)) : "no file");
}

void run_case(const States& states, Json row, Json outcome, bool remember, Verdict& verdict) {
  const JsonArray names = array(row);
  const auto state = [&](std::string_view kind, std::size_t column) {
    return states.of(kind, names.at(column).value());
  };
  const ScratchDirectory scratch;
  const fs::path cache = scratch.path() / "cache" / "usage.json";
  const fs::path lock = scratch.path() / "cache" / "usage.lock";
  put_file(cache, state("cache", 0));
  put_file(lock, state("lock", 1));
  if (const Json credentials = state("credentials", 2); !credentials.is_null()) {
    write_file(scratch.path() / "config" / ".credentials.json", credentials.get_string().value());
  }
  put_transcripts(scratch.path() / "config", state("jsonl", 4));

  Calls calls;
  satchel::Host host;
  host.clock = std::make_unique<FrozenClock>(states.now());
  host.log = std::make_unique<NoLog>();
  host.http = std::make_unique<RecordedHttp>(state("fetch", 3), calls);
  const satchel::Library library({}, std::move(host));
  const std::string result = resolved(library, scratch.path(), calls, remember);

  verdict.equal("result", canonical(simdjson::minify(outcome.at_key("result").value())),
                canonical(result));
  const Json expected = outcome.at_key("calls").value();
  verdict.equal("calls.transport", unsigned_integer(expected, "transport"), calls.transport);
  verdict.equal("calls.credentials", unsigned_integer(expected, "credentials"), calls.credentials);
  verdict.equal("calls.jsonl", unsigned_integer(expected, "jsonl"), calls.jsonl);
  compare_file(verdict, "cache_after", cache, state("cache", 0),
               outcome.at_key("cache_after").value());
  compare_file(verdict, "lock_after", lock, state("lock", 1), outcome.at_key("lock_after").value());
}

std::string name_of(Json row) {
  std::string name = "case";
  for (const Json column : array(row)) {
    if (column.is_string()) name.append(" ").append(column.get_string().value());
  }
  return name;
}

bool recognises(Json root) {
  return root.is_object() && member(root, "states") && member(root, "outcomes") &&
         member(root, "cases");
}

Tally run(Json root, const satchel::Library& /*library*/, const Options& /*options*/) {
  Tally tally;
  const States states(root.at_key("states").value());
  const JsonArray outcomes = array(root, "outcomes");
  std::size_t number = 0;
  for (const Json row : array(root, "cases")) {
    const bool remember = number++ % kRememberEvery == 0;
    compare(tally, name_of(row), [&](Verdict& verdict) {
      const std::uint64_t outcome = array(row).at(5).get_uint64().value();
      run_case(states, row, outcomes.at(outcome).value(), remember, verdict);
    });
  }
  return tally;
}

}  // namespace

const Form kCascade = {"cascade", recognises, run};

}  // namespace vectors
