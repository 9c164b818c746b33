// satchel-vectors FILE...: runs vectors made by the reference systems through the C ABI.
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "document.hpp"
#include "forms.hpp"
#include "satchel/satchel.hpp"
#include "verdict.hpp"

namespace {

constexpr const char* kUsage =
    "usage: satchel-vectors [--skip-render] FILE...\n"
    "\n"
    "Runs files of vectors (.json or .json.gz, recognised by their content) through libsatchel\n"
    "and prints every difference. The last line is \"N passed, M failed\".\n"
    "\n"
    "  --skip-render  skip and count the conversations that count exactly (calls of /v1/render).\n"
    "                 A library that cannot count exactly has them skipped in any case.\n"
    "\n"
    "Exit status: 0 all passed, 1 something failed or a file was not recognised, 2 wrong usage.\n";

constexpr const vectors::Form* kForms[] = {&vectors::kPromptRequests,  &vectors::kPromptQuery,
                                           &vectors::kPromptResponses, &vectors::kPromptClassify,
                                           &vectors::kToolcacheKeys,   &vectors::kToolcacheTraces,
                                           &vectors::kCascade};

// False for a file that cannot be read or is of no known form.
bool run_file(const std::string& path, const satchel::Library& library,
              const vectors::Options& options, vectors::Tally& total) {
  try {
    const vectors::Document document(path);
    for (const vectors::Form* form : kForms) {
      if (!form->recognises(document.root())) continue;
      const vectors::Tally tally = form->run(document.root(), library, options);
      std::printf("%s: %s, %zu passed, %zu failed", path.c_str(), form->name, tally.passed(),
                  tally.failed());
      if (tally.skipped() > 0) std::printf(", %zu skipped", tally.skipped());
      std::printf("\n");
      std::fflush(stdout);
      total.add(tally);
      return true;
    }
    std::printf("%s: not recognised: no form of vectors that this program knows\n", path.c_str());
  } catch (const std::exception& error) {
    std::printf("%s: cannot be run: %s\n", path.c_str(), error.what());
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  vectors::Options options;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--skip-render") {
      options.skip_render = true;
    } else if (argument == "--help" || argument == "-h") {
      std::fputs(kUsage, stdout);
      return 0;
    } else if (argument.size() > 1 && argument.front() == '-') {
      std::fprintf(stderr, "satchel-vectors: unknown option %s\n%s", argv[i], kUsage);
      return 2;
    } else {
      paths.push_back(argument);
    }
  }
  if (paths.empty()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    // Tokenizers that fail are part of the vectors: their log lines say nothing new.
    const satchel::Library library(R"({"log_level":"off"})");
    vectors::Tally total;
    bool all_ran = true;
    for (const std::string& path : paths) all_ran &= run_file(path, library, options, total);
    if (total.skipped() > 0) std::printf("%zu skipped\n", total.skipped());
    std::printf("%zu passed, %zu failed\n", total.passed(), total.failed());
    return all_ran && total.failed() == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "satchel-vectors: %s\n", error.what());
    return 1;
  }
}
