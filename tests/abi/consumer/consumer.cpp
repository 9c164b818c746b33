#include <cstdio>
#include <satchel/satchel.hpp>

int main() {
  const satchel::Library library;
  std::printf("satchel %s OK\n", satchel_version());
}
