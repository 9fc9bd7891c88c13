import time

import troops

troops.define_role('web', hosts=[HOSTS_WEB])
troops.define_role('db', hosts=[HOSTS_DB])


@troops.deployable(roles=['web'])
def frontend():
    for step in ['unpack site', 'link current', 'reload server']:
        print(step, flush=True)
        time.sleep(0.3)


@troops.deployable(roles=['db'])
def database():
    for step in ['check disk', 'apply schema 1', 'analyze']:
        print(step, flush=True)
        time.sleep(0.3)
