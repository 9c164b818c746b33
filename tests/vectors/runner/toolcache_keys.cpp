// toolcache_keys: keys of inputs, and fingerprints of directories.
#include <filesystem>

#include "forms.hpp"
#include "scratch_directory.hpp"

namespace vectors {

namespace {

// The inputs stand in the file by their lengths only.
std::string input_of_length(std::uint64_t length) {
  switch (length) {
    case 0:
      return {};
    case 1:
      return "a";
    case 16:
      return "read|a.txt|alpha";
    case 1024:
    case 1025:
      return std::string(length, 'x');
    case 256:
    case 100'000: {
      std::string bytes(length, '\0');
      const std::size_t period = length == 256 ? 256 : 251;
      for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>(i % period);
      return bytes;
    }
    default:
      throw std::runtime_error("no input is known of " + std::to_string(length) + " bytes");
  }
}

void compare_key(Verdict& verdict, Json test_case) {
  const std::string input = present(test_case, "input")
                                ? required_bytes(test_case, "input")
                                : input_of_length(unsigned_integer(test_case, "len"));
  verdict.equal("key", required_bytes(test_case, "key"), satchel::tool_key(input));
  if (present(test_case, "tool_result_key")) {
    verdict.equal("tool_result_key", required_bytes(test_case, "tool_result_key"),
                  satchel::tool_result_key(input));
  }
}

void compare_directory(Verdict& verdict, Json test_case, const satchel::Library& library) {
  const ScratchDirectory scratch;
  const std::filesystem::path directory = scratch.path() / "directory";
  std::filesystem::create_directory(directory);
  for (const Json name : array(test_case, "names")) {
    write_file(directory / std::string(name.get_string().value()), "");
  }
  satchel::ToolPlace place;
  place.store = (scratch.path() / "store").string();
  place.workspace = scratch.path().string();
  satchel::ToolCache cache(library, std::move(place));
  const std::optional<std::string> got =
      cache.fingerprint("directory", SATCHEL_FINGERPRINT_DIRECTORY);
  verdict.equal("fingerprint", required_bytes(test_case, "fingerprint"), got.value_or("oversized"));
}

bool recognises(Json root) {
  return root.is_object() && (member(root, "keys") || member(root, "dirs"));
}

Tally run(Json root, const satchel::Library& library, const Options& /*options*/) {
  Tally tally;
  std::size_t number = 0;
  if (const auto keys = member(root, "keys")) {
    for (const Json test_case : array(*keys)) {
      compare(tally, "keys case " + std::to_string(number++),
              [&](Verdict& verdict) { compare_key(verdict, test_case); });
    }
  }
  number = 0;
  if (const auto directories = member(root, "dirs")) {
    for (const Json test_case : array(*directories)) {
      compare(tally, "dirs case " + std::to_string(number++),
              [&](Verdict& verdict) { compare_directory(verdict, test_case, library); });
    }
  }
  return tally;
}

}  // namespace

const Form kToolcacheKeys = {"toolcache_keys", recognises, run};

}  // namespace vectors
