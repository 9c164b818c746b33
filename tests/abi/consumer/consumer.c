#include <satchel/satchel.h>
#include <stdio.h>

int main(void) {
  satchel_library* library = NULL;
  satchel_status status = satchel_open(NULL, NULL, 0, &library, NULL);
  if (status == SATCHEL_OK) status = satchel_close(&library);
  printf("satchel %s %s\n", satchel_version(), satchel_status_name(status));
  return status == SATCHEL_OK ? 0 : 1;
}
