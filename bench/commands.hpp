// What a driver of a benchmark's script is made of: one command a line on standard input, its words
// parted by tabs; one answer a line on standard output, "min_ns median_ns number" or "error: ...".
#pragma once

#include <satchel/satchel.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Words = std::vector<std::string>;

struct Figures {
  std::vector<std::int64_t> took;
  std::uint64_t number = 0;
};

inline std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline void require_ok(satchel_status status, const satchel_error& error, const char* what) {
  if (status == SATCHEL_OK) return;
  throw Failure(std::string(what) + ": " + satchel_status_name(status) + " " + error.message);
}

inline satchel_view view(std::string_view text) { return {text.data(), text.size()}; }

inline Words words_of(const std::string& line) {
  Words words;
  std::size_t begin = 0;
  for (std::size_t tab = line.find('\t'); tab != std::string::npos; tab = line.find('\t', begin)) {
    words.push_back(line.substr(begin, tab - begin));
    begin = tab + 1;
  }
  words.push_back(line.substr(begin));
  return words;
}

template <class Driver>
using Commands = std::map<std::string, Figures (Driver::*)(const Words&)>;

template <class Driver>
void answer(Driver& driver, const Commands<Driver>& commands, const std::string& line) {
  const Words words = words_of(line);
  Figures figures = (driver.*commands.at(words[0]))(words);
  std::sort(figures.took.begin(), figures.took.end());
  std::cout << figures.took.at(0) << ' ' << figures.took[figures.took.size() / 2] << ' '
            << figures.number << std::endl;
}

// Until the input ends: main's exit status.
template <class Driver>
int answer_all(const char* program, const Commands<Driver>& commands) {
  try {
    Driver driver;
    std::string line;
    while (std::getline(std::cin, line)) {
      try {
        answer(driver, commands, line);
      } catch (const std::exception& failure) {
        std::cout << "error: " << failure.what() << std::endl;
      }
    }
    return EXIT_SUCCESS;
  } catch (const std::exception& failure) {
    std::cerr << program << ": " << failure.what() << std::endl;
    return EXIT_FAILURE;
  }
}
